export { keptSecret } from './kept-secret.js';
export { SecretBox, UnreadableSecret, type Secret, type StoredSecret } from './secret-box.js';
export { SecretsModule } from './secrets.module.js';
