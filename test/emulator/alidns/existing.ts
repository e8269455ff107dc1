import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import { type DnsRecord, fullName, type Zone, type ZoneStore } from './zone-store.js'

const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$/i

/** The zone of the account that a call names. */
export const existingZone = (store: ZoneStore, name: string): Zone => {
  if (!name.split('.').every((one) => label.test(one)) || !name.includes('.'))
    throw new PopRefusal(400, 'InvalidDomainName.Format', 'The format of the specified domain name is invalid.')
  const zone = store.zone(name)
  if (zone === undefined)
    throw new PopRefusal(
      400,
      'InvalidDomainName.NoExist',
      'The specified domain name does not exist. Refresh the page and try again.',
    )
  if (zone.ofOthers) throw new PopRefusal(400, 'IncorrectDomainUser', 'The domain name does not belong to this user.')
  return zone
}

export const existingRecord = (store: ZoneStore, { RecordId: id = '' }: Given): DnsRecord => {
  const record = store.record(id)
  if (record !== undefined && store.zone(record.zone)?.ofOthers === false) return record
  throw new PopRefusal(400, 'DomainRecordNotBelongToUser', 'The domain record does not belong to this user.')
}

export const zoneResource = ({ DomainName: name }: Given): readonly string[] => [`domain/${name}`]

/** A record that there is not belongs to no zone that could be asked for. */
export const recordResource =
  (store: ZoneStore) =>
  ({ RecordId: id = '' }: Given): readonly string[] => {
    const record = store.record(id)
    return record === undefined ? [] : [`domain/${record.zone}`]
  }

const knownTypes = ['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'SRV', 'TXT']

interface Wish {
  readonly rr: string
  readonly type: string
  readonly value: string
  readonly ttl: number
}

/** What a call says of a record, checked by itself and against those that are there. */
export const wishedRecord = (store: ZoneStore, zone: Zone, given: Given, itself?: DnsRecord): Wish => {
  const { RR: rr = '', Type: type = '', Value: value = '', TTL: ttl = '600', Line: line = 'default' } = given
  if (line !== 'default') throw new PopRefusal(400, 'NotImplemented', `The emulator does not know the line ${line}.`)
  if (rr !== '@' && !rr.split('.').every((one) => one === '*' || label.test(one)))
    throw new PopRefusal(400, 'DomainRecordInvalid.RR', 'The RR of the record is invalid.')
  if (!knownTypes.includes(type)) throw new PopRefusal(400, 'InvalidType', 'The record type is invalid.')
  if (type === 'TXT' && value.length > 512)
    throw new PopRefusal(400, 'SubDomainInvalid.Value', 'The value of the record is invalid.')
  // Which code the real one answers is not documented.
  if (Number(ttl) < store.shortestTtl) throw new PopRefusal(400, 'InvalidTTL', 'The TTL is below that of the edition.')
  const wish = { rr: rr.toLowerCase(), type, value, ttl: Number(ttl) }
  const beside = [...zone.records.values()].filter((one) => one !== itself && one.rr === wish.rr)
  const isSame = (one: DnsRecord) => one.type === type && one.value === value
  if (beside.some(isSame) || (itself && isSame(itself) && itself.rr === wish.rr && itself.ttl === wish.ttl))
    throw new PopRefusal(400, 'DomainRecordDuplicate', 'The domain record is duplicated.')
  if (beside.some((one) => (one.type === 'CNAME') !== (type === 'CNAME')))
    throw new PopRefusal(400, 'DomainRecordConflict', 'The domain record is conflict with other records.')
  return wish
}

export const describedRecord = (record: DnsRecord) => ({
  DomainName: record.zone,
  RecordId: record.id,
  RR: record.rr,
  Type: record.type,
  Value: record.value,
  TTL: record.ttl,
  Line: 'default',
  Status: record.status,
  Locked: false,
  Weight: 1,
})

export const isAt = (record: DnsRecord, name: string): boolean => fullName(record) === name.toLowerCase()
