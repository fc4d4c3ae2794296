import { Module } from '@nestjs/common';
import { FirstAdmin } from './first-admin.js';
import { Keys } from './keys.js';
import { RateController } from './rate.controller.js';
import { SessionController } from './session.controller.js';
import { UserController } from './user.controller.js';

@Module({ controllers: [SessionController, UserController, RateController], providers: [Keys, FirstAdmin] })
export class AuthModule {}
