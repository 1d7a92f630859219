import { createHash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const MARK = 'sk-nova-';
const RANDOM_LENGTH = 37;
const CHECKSUM_LENGTH = 6;
const BODY_LENGTH = MARK.length + RANDOM_LENGTH;
const SHOWN_LENGTH = 12;

/** Pattern for secret scanners; the checksum rules out chance matches. */
export const API_KEY_PATTERN = /^sk-nova-[0-9A-Za-z]{43}$/;

/** A new raw key: 220 random bits and a checksum. */
export function generateApiKey(): string {
  const random = Array.from({ length: RANDOM_LENGTH }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join('');
  return `${MARK}${random}${checksum(`${MARK}${random}`)}`;
}

/** Whether `text` can be a key at all: tells typing errors and guesses apart without a look-up. */
export function isWellFormedApiKey(text: string): boolean {
  return API_KEY_PATTERN.test(text) && checksum(text.slice(0, BODY_LENGTH)) === text.slice(BODY_LENGTH);
}

/** SHA-256 in hex. Keys are random, so a fast digest without salt gives nothing away. */
export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** The beginning of a key, by which people tell keys apart. */
export function prefixOfApiKey(key: string): string {
  return key.slice(0, SHOWN_LENGTH);
}

/** zlib's CRC-32 of `text` in base62, left-padded with zeros. */
function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  while (rest > 0) {
    digits = ALPHABET.charAt(rest % ALPHABET.length) + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits.padStart(CHECKSUM_LENGTH, '0');
}
