import assert from 'node:assert/strict';
import { test } from 'node:test';
import { couponPrice, memberPrice } from '../src/price.js';

test('members get their percentage off', () => {
  assert.equal(memberPrice(2000, 15), 1700);
});

test('coupons take their percentage off, in whole cents', () => {
  assert.equal(couponPrice(999, 10), 899);
});

test('nothing off leaves the price alone', () => {
  assert.equal(memberPrice(500, 0), 500);
});
