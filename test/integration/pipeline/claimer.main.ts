import { createInterface } from 'node:readline';
import pg from 'pg';

// A worker process that does nothing but claim: says `ready`, waits for the word to go, claims on all its connections until
// nothing is left and tells which ids it won.

const { url, text, values, lanes } = JSON.parse(process.env['CLAIMER'] ?? '{}') as {
  url: string;
  text: string;
  values: unknown[];
  lanes: number;
};

async function claimAll(client: pg.Client): Promise<string[]> {
  const won: string[] = [];
  for (;;) {
    const { rows } = await client.query<{ id: string }>({ name: 'claim', text, values });
    if (rows.length === 0) return won;
    won.push(...rows.map(({ id }) => id));
  }
}

const clients = await Promise.all(
  Array.from({ length: lanes }, async () => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client;
  }),
);
const input = createInterface({ input: process.stdin });
// The test that started this process holds the other end.
input.once('close', () => process.exit(1));
process.stdout.write('ready\n');
await new Promise((resolve) => input.once('line', resolve));
const won = (await Promise.all(clients.map(claimAll))).flat();
process.stdout.write(`${JSON.stringify(won)}\n`, () => process.exit(0));
