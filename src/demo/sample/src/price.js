// Prices are whole cents. Percentages are numbers from 0 to 100.
export function memberPrice(price, percent) {
  return price - price * percent;
}

export function couponPrice(amount, off) {
  return amount - amount * off;
}
