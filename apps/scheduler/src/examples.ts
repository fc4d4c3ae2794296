import path from 'node:path';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { derivedId, newId, process as processRules, type ProcessSettings } from '#domain';
import { handle } from '#ledger';
import { Context, systemMeta } from '#service';
import { timersAfter } from './timers.js';

/** Defines the example processes in a ledger that has none, unless it is to stay bare; they belong to the first admin. */
@Injectable()
export class Examples implements OnApplicationBootstrap {
  constructor(private readonly context: Context) {}

  async onApplicationBootstrap(): Promise<void> {
    const { ledger, pool, config } = this.context;
    if (config.RUNLEDGER_BARE) return;
    const { rows } = await pool.query(`select from event where stream >= 'process-' and stream < 'process.' limit 1`);
    if (rows.length > 0) return;
    const owner = derivedId('user', 'first admin');
    for (const settings of examples(path.join(config.dataDir, 'files'))) {
      const id = derivedId('example', settings.name);
      const number = await ledger.number('process');
      const meta = systemMeta(derivedId('define', id), newId());
      const command = { type: 'DefineProcess' as const, meta, data: { ...settings, number, owner } };
      await handle(ledger, processRules, id, command, {
        alongside: (_, state, version) => timersAfter(id, state, version),
      });
    }
  }
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** Real and harmless: nothing is written outside of `<data>/files/examples`. */
function examples(files: string): ProcessSettings[] {
  const folder = quoted(path.join(files, 'examples'));
  return [
    {
      name: 'Heartbeat',
      description: "Says each minute that scheduler and executor are alive, with the machine's load.",
      action: { kind: 'command', shell: 'echo "alive on $(uname -n), load $(cut -d " " -f 1-3 /proc/loadavg)"' },
      triggers: [{ cron: '* * * * *', zone: 'UTC' }],
      policies: { timeout: '30s' },
    },
    {
      name: 'Disk report',
      description: 'Lists how full the file systems are; its work items are the file systems counted.',
      action: {
        kind: 'command',
        shell:
          'df -P -h && printf \'##runledger {"ops": %d, "message": "file systems counted"}\\n\' "$(($(df -P | wc -l) - 1))"',
      },
      triggers: [{ cron: '*/15 * * * *', zone: 'UTC' }],
      policies: { timeout: '1m' },
    },
    {
      name: 'Sample backup',
      description: 'Packs a sample folder, then verifies the archive against the checksums of its files.',
      action: { kind: 'command', shell: backupScript(folder) },
      triggers: [{ cron: '0 3 * * *', zone: 'UTC' }],
      policies: { timeout: '5m', retry: { attempts: 2, delay: '10s' } },
    },
  ];
}

const backupScript = (folder: string) => `set -eu
mkdir -p ${folder}/sample ${folder}/backup && cd ${folder}
[ -s sample/notes.txt ] || printf 'A folder worth keeping.\\n' > sample/notes.txt
[ -s sample/numbers.csv ] || seq 1 1000 > sample/numbers.csv
(cd sample && sha256sum *) > backup/checksums
echo '##runledger {"progress": 30, "message": "packing"}'
tar -czf backup/sample.tar.gz.part sample && mv backup/sample.tar.gz.part backup/sample.tar.gz
echo '##runledger {"progress": 70, "message": "verifying"}'
rm -rf backup/check && mkdir backup/check && tar -xzf backup/sample.tar.gz -C backup/check
(cd backup/check/sample && sha256sum -c ../../checksums)
rm -rf backup/check
printf '##runledger {"progress": 100, "ops": %d, "message": "verified"}\\n' "$(wc -l < backup/checksums)"`;
