import { describe, expect, it } from '@jest/globals';
import { ScanBudget, scanText } from './text-scan.js';

// Put together here so that no scanner of this repository takes them for leaks.
const MIXED =
  'aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0bC3dE6fG7hI8jL9kM1nO2pQ3rS4tU5vW6xY7zA8bC9dE0fG1hI2jK3lM4nO5pQ6rS7tU8vW9xY0z';
const HEX = '3f9c1a7be0d24586af13c97e5b08d6412c7f90ab8e31d5640fb2a97c3e6d1805';
const mixed = (length: number): string => MIXED.slice(0, length);
const hex = (length: number): string => HEX.repeat(2).slice(0, length);
const password = ['hunter2', 'xyz'].join('');

const SECRETS: Record<string, string> = {
  'AWS key id': `AKIA${'QWERTYUIOPASDFGH'}`,
  'AWS session key id': `ASIA${'QWERTYUIOPASDFGH'}`,
  'AWS secret': `aws_secret_access_key = ${'wJalrXUtnFEMI/K7MDENG/'}${'bPxRfiCYzq3VnT9sLk'}`,
  'Google API key': `AIza${mixed(35)}`,
  'Google client secret': `GOCSPX-${mixed(28)}`,
  'Google access token': `ya29.${mixed(80)}`,
  'Azure storage': `AccountKey=${Buffer.from(mixed(64)).toString('base64')}`,
  'Azure client secret': `abc8Q~${mixed(34)}`,
  'GitHub personal': `ghp_${mixed(36)}`,
  'GitHub OAuth': `gho_${mixed(36)}`,
  'GitHub server': `ghs_${mixed(36)}`,
  'GitHub fine-grained': `github_pat_${mixed(22)}_${mixed(59)}`,
  'GitLab personal': `glpat-${mixed(20)}`,
  'GitLab deploy': `gldt-${mixed(20)}`,
  'GitLab trigger': `glptt-${hex(40)}`,
  'Slack bot': `xoxb-123456789012-1234567890123-${mixed(24)}`,
  'Slack webhook': `https://hooks.slack.com/services/T01234567/B01234567/${mixed(24)}`,
  Discord: `https://discord.com/api/webhooks/123456789012345678/${mixed(68)}`,
  Telegram: `123456789:AA${mixed(33)}`,
  Stripe: `sk_live_${mixed(24)}`,
  'Stripe restricted': `rk_live_${mixed(24)}`,
  'Stripe webhook': `whsec_${mixed(32)}`,
  npm: `npm_${mixed(36)}`,
  '.npmrc': `//registry.example-corp.io/:_authToken=${mixed(36)}`,
  PyPI: `pypi-AgEIcHlwaS5vcmc${mixed(70)}`,
  Docker: `dckr_pat_${mixed(27)}`,
  'OpenAI, old': `sk-${mixed(48)}`,
  OpenAI: `sk-proj-${mixed(74)}`,
  Anthropic: `sk-ant-api03-${mixed(93)}AA`,
  OpenRouter: `sk-or-v1-${hex(64)}`,
  Nova: `sk-nova-${mixed(43)}`,
  Groq: `gsk_${mixed(52)}`,
  xAI: `xai-${mixed(80)}`,
  'Hugging Face': `hf_${mixed(34)}`,
  DigitalOcean: `dop_v1_${hex(64)}`,
  Vault: `hvs.${mixed(90)}`,
  Databricks: `dapi${hex(32)}`,
  Doppler: `dp.pt.${mixed(43)}`,
  Grafana: `glsa_${mixed(32)}_${hex(8)}`,
  Sentry: `sntrys_${mixed(80)}`,
  SendGrid: `SG.${mixed(22)}.${mixed(43)}`,
  Mailgun: `key-${hex(32)}`,
  Shopify: `shpat_${hex(32)}`,
  Linear: `lin_api_${mixed(40)}`,
  Atlassian: `ATATT3${mixed(106)}`,
  'private key': `${'-----BEGIN'} PRIVATE KEY-----\n${mixed(64)}\n${mixed(64)}\n-----END PRIVATE KEY-----`,
  'OpenSSH key': `${'-----BEGIN'} OPENSSH PRIVATE KEY-----\n${mixed(70)}\n-----END OPENSSH PRIVATE KEY-----`,
  'age key': `AGE-SECRET-KEY-1${'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L'.repeat(2).slice(0, 58)}`,
  PostgreSQL: `postgres://bob:${password}@db.internal:5432/app`,
  MySQL: `mysql://bob:${password}@db.internal/app`,
  MongoDB: `mongodb+srv://bob:${password}@cluster.mongodb.net/app`,
  Redis: `redis://:${password}@cache.internal:6379`,
  AMQP: `amqp://bob:${password}@queue.internal`,
  'basic URL': `https://bob:${password}@host.corp.io/`,
  'basic header': `Authorization: Basic ${Buffer.from(`bob:${password}`).toString('base64')}`,
  'bearer header': `Authorization: Bearer ${mixed(40)}`,
  'web token': `${'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9'}.eyJzdWIiOiI0MjM0NTY3ODkwIn0.${mixed(43)}`,
  'hex behind a telling name': `SECRET_KEY=${hex(64)}`,
  'signs behind a telling name': `DB_PASSWORD="${'Tr0ub4dor&3-'}${'Xy9!kLm2'}"`,
};

/** Ways in which a secret is written that leave it whole to whoever reads it. */
const WRITTEN: Record<string, (secret: string) => string> = {
  plain: (secret) => secret,
  base64: (secret) => Buffer.from(secret).toString('base64'),
  base64url: (secret) => Buffer.from(` ${secret} `).toString('base64url'),
  hex: (secret) => Buffer.from(secret).toString('hex'),
  URL: (secret) => Array.from(secret, (char) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`).join(''),
  'JSON escapes': (secret) => Array.from(secret, (char) => `\\u00${char.charCodeAt(0).toString(16)}`).join(''),
  'zero-width characters': (secret) => Array.from(secret).join('\u200b'),
  'two literals': (secret) => `"${secret.slice(0, 12)}" +\n  "${secret.slice(12)}"`,
};

const credentials = async (text: string): Promise<string[]> =>
  (await scanText(`before ${text} after`, { budget: new ScanBudget(60) }))
    .filter(({ type }) => type === 'credential_leak')
    .map(({ label }) => label);

describe('the corpus of secrets', () => {
  it.each(Object.keys(SECRETS))('%s is found however it is written', async (name) => {
    const secret = SECRETS[name] ?? '';
    // Line ends of a key are no part of what an escape or a seam may hold.
    const ways = Object.keys(WRITTEN).filter((way) => !secret.includes('\n') || /^(plain|base64|hex)/.test(way));
    const missed: string[] = [];
    for (const way of ways) if ((await credentials(WRITTEN[way]?.(secret) ?? '')).length === 0) missed.push(way);
    expect(missed).toEqual([]);
  });
});

describe('the corpus of near misses', () => {
  it.each([
    ['a commit', `commit ${hex(40)}`],
    ['a digest', `sha256:${hex(64)}`],
    ['a digest of a key', `api_key_hash: ${hex(64)}`],
    ['an entity tag', `etag "${hex(32)}"`],
    ['a uuid', '550e8400-e29b-41d4-a716-446655440000'],
    ['a uuid behind a telling name', 'api_key: 550e8400-e29b-41d4-a716-446655440000'],
    ['the integrity of a lock file', `"integrity": "sha512-${Buffer.from(HEX).toString('base64')}=="`],
    ['the source of a lock file', `resolved "https://packages.corp.io/a/-/a-1.0.0.tgz#${hex(40)}"`],
    ['a sum of modules', `golang.org/x/net v0.1.0 h1:${Buffer.from(hex(32)).toString('base64')}`],
    ['a public key', `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${mixed(43)} me@host`],
    ['a picture', `data:image/png;base64,${Buffer.from(HEX + HEX).toString('base64')}`],
    ['a call', 'const tokenizer = createTokenizer({ secret: getSecretFromVault() })'],
    ['a shortened key', 'OPENAI_API_KEY=sk-...'],
    ['a slot', 'token: <your-token-here>'],
    ['a secret of a workflow', 'password: ${{ secrets.DB_PASSWORD }}'],
    ['a word to change', 'API_KEY=changeme-changeme-changeme'],
    ['a key of documentation', ['AKIA', 'IOSFODNN7EXAMPLE'].join('')],
    [
      'the web token of documentation',
      `${'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9'}.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c`,
    ],
    ['basic credentials of documentation', 'Authorization: Basic dXNlcm5hbWU6cGFzc3dvcmQ='],
    ['a default on this machine', 'postgres://postgres:postgres@localhost:5432/test redis://:secret@127.0.0.1:6379'],
    ['a test key of a payment service', `sk_test_${mixed(24)}`],
    ['a class of a style sheet', '.sk-loading-spinner-container-wrapper {} .task-list-item-checkbox-wrapper {}'],
    ['the rules of a password', 'password: must have 12 characters, A-Z, a-z, 0-9 and !@#'],
    ['a password that is asked for', 'password=process.env.DB_PASSWORD_2 passphrase: await askFor("Passphrase?1")'],
  ])('%s is left alone', async (_name, text) => {
    expect(await credentials(text)).toEqual([]);
  });
});
