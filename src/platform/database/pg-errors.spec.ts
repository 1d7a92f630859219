import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { isConnectionFault, isLostConnection, isRetryable, outageReason, UNKNOWN_OUTAGE } from './pg-errors.js';

function fromServer(
  code: string,
  message = 'password authentication failed for user "postgres://u:p@h"',
): pg.DatabaseError {
  const error = new pg.DatabaseError(message, message.length, 'error');
  error.code = code;
  return error;
}

function fromSystem(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.7:5432`), { code });
}

describe('errors of the database', () => {
  it.each(['57P01', '57P03', '53300', '53100', '58030', '28P01', '3D000', '25006', '08006', '55000', '55P03', '57014'])(
    '%s from the server means that it cannot work now',
    (code) => expect(isConnectionFault(fromServer(code))).toBe(true),
  );

  it.each(['23505', '23503', '22P02', '42601', '40001', 'P0001'])(
    '%s from the server is about the statement',
    (code) => {
      expect(isConnectionFault(fromServer(code))).toBe(false);
    },
  );

  it.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT'])(
    '%s from the system is a lost connection',
    (code) => expect(isLostConnection(fromSystem(code))).toBe(true),
  );

  it.each([
    'Connection terminated unexpectedly',
    'Connection terminated due to connection timeout',
    'timeout exceeded when trying to connect',
    'Query read timeout',
    'Client has encountered a connection error and is not queryable',
    'Client was closed and is not queryable',
  ])('“%s” from the driver is a lost connection', (message) => {
    expect(isLostConnection(new Error(message))).toBe(true);
  });

  it('keep a connection that only the statement failed on', () => {
    for (const code of ['53300', '57014', '55P03', '25006']) expect(isLostConnection(fromServer(code))).toBe(false);
    expect(isLostConnection(new Error('anything else'))).toBe(false);
  });

  it('are worth another try only for deadlocks and serialization faults', () => {
    expect(['40001', '40P01', '23505', '57P01'].map((code) => isRetryable(fromServer(code)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('the reason of an outage', () => {
  it('never repeats what the server, the system or the driver said', () => {
    const invalid = (): unknown => {
      try {
        return new URL('postgres://user:s3cret@[bad');
      } catch (error) {
        return error;
      }
    };
    const errors = [
      ...['28P01', '3D000', '57P03', 'XX000', '99999'].map((code) => fromServer(code)),
      ...['ECONNREFUSED', 'ENOTFOUND', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'EWHATEVER'].map(fromSystem),
      new Error('s3cret'),
      invalid(),
      's3cret',
    ];
    for (const error of errors) {
      expect(outageReason(error)).toMatch(/^(the|DATABASE_URL) [A-Za-z0-9 ,'-]+$/);
      expect(outageReason(error)).not.toMatch(/s3cret|10\.0\.0\.7|postgres:/);
    }
  });

  it('names what an operator can mend', () => {
    expect(outageReason(fromServer('28P01'))).toBe('the database refused the password');
    expect(outageReason(fromSystem('ECONNREFUSED'))).toBe('the database server refuses connections');
    expect(outageReason(fromServer('XX000'))).toBe('the database refused with SQLSTATE XX000');
    expect(outageReason(undefined)).toBe(UNKNOWN_OUTAGE);
  });
});
