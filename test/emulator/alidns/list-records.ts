import type { JsonObject } from '../json.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import { describedRecord, existingZone, isAt, zoneResource } from './existing.js'
import type { DnsRecord, ZoneStore } from './zone-store.js'

const pageOf = <T>(all: readonly T[], given: Given, most: number) => {
  const { PageNumber: number = '1', PageSize: size = '20' } = given
  if (Number(number) < 1) throw new PopRefusal(400, 'InvalidPageNumber', 'The page number is invalid.')
  if (Number(size) < 1 || Number(size) > most) throw new PopRefusal(400, 'InvalidPageSize', 'The page size is invalid.')
  const begin = (Number(number) - 1) * Number(size)
  return {
    page: all.slice(begin, begin + Number(size)),
    numbers: { TotalCount: all.length, PageNumber: Number(number), PageSize: Number(size) },
  }
}

const recordPage = (found: readonly DnsRecord[], given: Given, most: number): JsonObject => {
  // The newest first, as the documents say.
  const { page, numbers } = pageOf([...found].reverse(), given, most)
  return { ...numbers, DomainRecords: { Record: page.map((record) => ({ ...describedRecord(record) })) } }
}

const refuseOthers = (given: Given, understood: readonly string[]): void => {
  const other = Object.keys(given).find((name) => !understood.includes(name))
  if (other !== undefined) throw new PopRefusal(400, 'NotImplemented', `The emulator does not filter by ${other}.`)
}

/** Key words of RR and value find all that hold them, whatever their case. */
export const describeDomainRecords = (store: ZoneStore): PopOperation => ({
  name: 'DescribeDomainRecords',
  metadata: metadataOf('alidns', 'DescribeDomainRecords'),
  resources: zoneResource,
  perform({ given }) {
    refuseOthers(given, ['DomainName', 'RRKeyWord', 'TypeKeyWord', 'ValueKeyWord', 'PageNumber', 'PageSize'])
    const zone = existingZone(store, given['DomainName'] ?? '')
    const { RRKeyWord: rr = '', TypeKeyWord: type, ValueKeyWord: value = '' } = given
    const found = [...zone.records.values()].filter(
      (one) =>
        one.rr.includes(rr.toLowerCase()) &&
        (type === undefined || one.type === type.toUpperCase()) &&
        one.value.toLowerCase().includes(value.toLowerCase()),
    )
    return recordPage(found, given, 500)
  },
})

export const describeSubDomainRecords = (store: ZoneStore): PopOperation => ({
  name: 'DescribeSubDomainRecords',
  metadata: metadataOf('alidns', 'DescribeSubDomainRecords'),
  resources: (given) => [`domain/${given['DomainName'] ?? store.zoneAbove(given['SubDomain'] ?? '')?.name ?? '*'}`],
  perform({ given }) {
    refuseOthers(given, ['SubDomain', 'DomainName', 'Type', 'PageNumber', 'PageSize'])
    const { SubDomain: name = '', DomainName, Type: type } = given
    const zone = existingZone(store, DomainName ?? store.zoneAbove(name)?.name ?? name)
    const found = [...zone.records.values()].filter(
      (one) => isAt(one, name) && (type === undefined || one.type === type.toUpperCase()),
    )
    return recordPage(found, given, 100)
  },
})

export const describeDomains = (store: ZoneStore): PopOperation => ({
  name: 'DescribeDomains',
  metadata: metadataOf('alidns', 'DescribeDomains'),
  resources: () => ['domain/*'],
  perform({ given }) {
    refuseOthers(given, ['KeyWord', 'PageNumber', 'PageSize'])
    const { KeyWord: word = '' } = given
    const found = store.zones.filter(({ name, ofOthers }) => !ofOthers && name.includes(word.toLowerCase()))
    const { page, numbers } = pageOf(found, given, 100)
    return {
      ...numbers,
      Domains: {
        Domain: page.map(({ name, servers, records }) => ({
          DomainName: name,
          PunyCode: name,
          AliDomain: true,
          RecordCount: records.size,
          DnsServers: { DnsServer: [...servers] },
          VersionCode: 'mianfei',
        })),
      },
    }
  },
})
