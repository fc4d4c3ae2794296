export { MasterKeyError } from './master-keys.js';
export { type OpenEnv, type SecretDatabase, Secrets } from './secrets.js';
export { forgetFormer, rotate } from './rotate.js';
export { secretMigrations } from './migrations/secret.sql.js';
