export { addressFault, checkedLookup, EgressRefusedError, urlFault, type Resolve } from './address-rules.js';
