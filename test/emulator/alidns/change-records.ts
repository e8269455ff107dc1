import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import { PopRefusal } from '../pop/refusal.js'
import { existingRecord, existingZone, recordResource, wishedRecord, zoneResource } from './existing.js'
import type { ZoneStore } from './zone-store.js'

export const addDomainRecord = (store: ZoneStore): PopOperation => ({
  name: 'AddDomainRecord',
  metadata: metadataOf('alidns', 'AddDomainRecord'),
  resources: zoneResource,
  perform({ given }) {
    const zone = existingZone(store, given['DomainName'] ?? '')
    const { rr, type, value, ttl } = wishedRecord(store, zone, given)
    if (zone.records.size >= store.quota)
      throw new PopRefusal(400, 'QuotaExceeded.Record', 'The number of records has reached the limit.')
    return { RecordId: store.addRecord(zone.name, rr, type, value, ttl).id }
  },
})

export const updateDomainRecord = (store: ZoneStore): PopOperation => ({
  name: 'UpdateDomainRecord',
  metadata: metadataOf('alidns', 'UpdateDomainRecord'),
  resources: recordResource(store),
  perform({ given }) {
    const record = existingRecord(store, given)
    Object.assign(record, wishedRecord(store, existingZone(store, record.zone), given, record))
    return { RecordId: record.id }
  },
})

export const deleteDomainRecord = (store: ZoneStore): PopOperation => ({
  name: 'DeleteDomainRecord',
  metadata: metadataOf('alidns', 'DeleteDomainRecord'),
  resources: recordResource(store),
  perform({ given }) {
    const record = existingRecord(store, given)
    store.zone(record.zone)?.records.delete(record.id)
    return { RecordId: record.id }
  },
})
