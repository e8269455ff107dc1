import type { Product } from '../pop/operation.js'
import { addDomainRecord, deleteDomainRecord, updateDomainRecord } from './change-records.js'
import { describeDomainRecords, describeDomains, describeSubDomainRecords } from './list-records.js'
import type { ZoneStore } from './zone-store.js'

/** AliDNS. */
export const alidnsProduct = (store: ZoneStore): Product => ({
  ram: 'alidns',
  host: 'alidns',
  version: '2015-01-09',
  operations: [
    addDomainRecord(store),
    updateDomainRecord(store),
    deleteDomainRecord(store),
    describeDomainRecords(store),
    describeSubDomainRecords(store),
    describeDomains(store),
  ],
  callsPerSecond: () => store.callsPerSecond,
})
