export { checkedLookup, EgressRefusedError, urlFault, type Resolve } from './address-rules.js';
export { proxyFor, type ProxySettings } from './proxy-rules.js';
