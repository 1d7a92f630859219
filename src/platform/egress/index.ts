export { addressFault, checkedLookup, EgressRefused, urlFault, type Resolve } from './address-rules.js';
