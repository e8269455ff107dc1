import { CertError } from '../errors.js'
import { Turns } from '../turns.js'
import type { Permission } from './ram-policy.js'
import type { Attempted } from './refusal.js'
import { isForbidden, type Json, listed, listOf, type RpcClient, textOf, vendorCode } from './rpc.js'

export const alidnsVersion = '2015-01-09'

/** The longest zone of the account that holds a name, or why there is none. */
export type ZoneLook = { readonly zone: string } | { readonly refusal: CertError }

/** A record that is there by now, or the name that a CNAME in its place leads to. */
export type Written = { readonly id: string } | { readonly leadsTo: string }

interface DnsRecord {
  readonly id: string
  readonly rr: string
  readonly type: string
  readonly value: string
  readonly isServed: boolean
}

// The shortest that the free edition takes, in seconds.
const ttl = 600
const pageSize = 500

const resourceOf = (zone: string): string => `acs:alidns:*:*:domain/${zone}`

/** Zones of AliDNS. Three rights on a zone are all that is used of it. */
export class DnsZones {
  readonly #client: RpcClient
  /** Why we have no such zone; undefined where we do. */
  readonly #candidates = new Map<string, Promise<CertError | undefined>>()
  /** The service has one change at a place finish before it takes another. */
  readonly #turns = new Turns()

  constructor(client: RpcClient) {
    this.#client = client
  }

  /**
   * Asks for each zone that could hold the name, side by side: a zone may lie within another, and nothing in a name says
   * where one begins. Zones that may not be read count as not ours.
   */
  async find(name: string, signal: AbortSignal): Promise<ZoneLook> {
    const candidates = zonesAbove(name)
    const looks = await Promise.allSettled(candidates.map((candidate) => this.#lookAt(candidate, signal)))
    const refusals = looks.map((look) => {
      if (look.status === 'rejected') throw look.reason
      return look.value
    })
    const at = refusals.indexOf(undefined)
    const zone = candidates[at]
    if (zone !== undefined) return { zone }
    const told = mostTelling(
      refusals.filter((_, i) => isLikely(candidates[i] ?? '')).filter((one) => one !== undefined),
    )
    const message = `looking for the zone of ${name} in AliDNS: ${told?.message ?? 'it has no zone'}`
    return {
      refusal: new CertError('CLOUD_REFUSED', message, { cause: told, hint: told?.hint, vendor: told?.vendor }),
    }
  }

  /**
   * @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING, INTERRUPTED
   */
  async addTxt(zone: string, name: string, value: string, signal: AbortSignal): Promise<Written> {
    const what = attempted(`adding a TXT record at ${name} in AliDNS`, 'AddDomainRecord', zone)
    const place = { DomainName: zone, RR: hostOf(name, zone) }
    return await this.#turns.alone(`${zone} ${place.RR}`, async () => {
      try {
        const record = { ...place, Type: 'TXT', Value: value, TTL: ttl }
        const answer = await this.#client.call('AddDomainRecord', record, what, signal)
        return { id: textOf(answer['RecordId']) ?? '' }
      } catch (error) {
        const code = vendorCode(error)
        if (code !== 'domainrecordduplicate' && code !== 'domainrecordconflict') throw error
        // An answer that got lost, or an earlier run; or a CNAME, beside which nothing else may stand.
        const there = await this.#recordsAt(zone, name, signal)
        const same = there.find((one) => isTxt(one, value))
        if (same !== undefined) return { id: same.id }
        const leadsTo = cnameAmong(there)
        if (leadsTo === undefined) throw error
        return { leadsTo }
      }
    })
  }

  /**
   * Removes what `addTxt` has left there, and nothing else.
   * @returns the name that a CNAME in the place leads to, where nothing of it is there but that
   */
  async removeTxt(zone: string, name: string, value: string, signal: AbortSignal): Promise<string | undefined> {
    const there = await this.#recordsAt(zone, name, signal)
    const ours = there.filter((one) => isTxt(one, value))
    for (const { id } of ours) await this.remove(zone, name, id, signal)
    return ours.length === 0 ? cnameAmong(there) : undefined
  }

  /** One that has gone already is no trouble. */
  async remove(zone: string, name: string, id: string, signal: AbortSignal): Promise<void> {
    const what = attempted(`deleting a TXT record at ${name} in AliDNS`, 'DeleteDomainRecord', zone)
    await this.#turns.alone(`${zone} ${hostOf(name, zone)}`, async () => {
      try {
        await this.#client.call('DeleteDomainRecord', { RecordId: id }, what, signal)
      } catch (error) {
        if (vendorCode(error) !== 'domainrecordnotbelongtouser') throw error
      }
    })
  }

  #lookAt(candidate: string, signal: AbortSignal): Promise<CertError | undefined> {
    const known = this.#candidates.get(candidate)
    if (known !== undefined) return known
    const looking = this.#isOurs(candidate, signal)
    this.#candidates.set(candidate, looking)
    // Whoever asks after a failure has it tried again.
    looking.catch(() => this.#candidates.delete(candidate))
    return looking
  }

  async #isOurs(candidate: string, signal: AbortSignal): Promise<CertError | undefined> {
    const what = attempted(candidate, 'DescribeDomainRecords', candidate)
    try {
      await this.#client.call('DescribeDomainRecords', { DomainName: candidate, PageSize: 1 }, what, signal)
      return undefined
    } catch (error) {
      const isNone = isForbidden(error) || /^(invaliddomainname\b|incorrectdomainuser$)/.test(vendorCode(error))
      if (isNone && error instanceof CertError) return error
      throw error
    }
  }

  /** The service finds all whose name holds what is asked for. */
  async #recordsAt(zone: string, name: string, signal: AbortSignal): Promise<DnsRecord[]> {
    const what = attempted(`looking at the records of ${name} in AliDNS`, 'DescribeDomainRecords', zone)
    const rr = hostOf(name, zone)
    const pages = listed(pageSize, async (page) => {
      const wanted = { DomainName: zone, RRKeyWord: rr, PageNumber: page, PageSize: pageSize }
      const answer = await this.#client.call('DescribeDomainRecords', wanted, what, signal)
      return { answer, found: listOf(answer, 'DomainRecords', 'Record') }
    })
    const found: DnsRecord[] = []
    for await (const one of pages) found.push(readRecord(one))
    return found.filter((one) => one.rr === rr && one.id !== '')
  }
}

const attempted = (doing: string, action: string, zone: string): Attempted => ({
  doing,
  action: `alidns:${action}`,
  resource: resourceOf(zone),
})

/** The name itself and all that it lies in, but for top-level domains; the longest first. */
export const zonesAbove = (name: string): string[] => {
  const labels = name.split('.')
  return labels.slice(0, -1).map((_, i) => labels.slice(i).join('.'))
}

/** Neither the place itself nor what many share (com.cn, co.uk) is what people have a zone for. */
const isLikely = (candidate: string): boolean =>
  !candidate.startsWith('_') && !/^(ac|co|com|edu|gov|net|org)\.[a-z]{2}$/.test(candidate)

/** @param refusals the one of the shortest name last */
const mostTelling = (refusals: readonly CertError[]): CertError | undefined =>
  refusals.findLast(isForbidden) ??
  refusals.findLast((error) => vendorCode(error) === 'incorrectdomainuser') ??
  refusals.at(-1)

/** As AliDNS calls a name within its zone. */
const hostOf = (name: string, zone: string): string => (name === zone ? '@' : name.slice(0, -zone.length - 1))

const readRecord = (one: Json): DnsRecord => ({
  id: textOf(one['RecordId']) ?? '',
  rr: (textOf(one['RR']) ?? '').toLowerCase(),
  type: textOf(one['Type']) ?? '',
  value: textOf(one['Value']) ?? '',
  isServed: textOf(one['Status'])?.toLowerCase() !== 'disable',
})

const isTxt = ({ type, value }: DnsRecord, wanted: string): boolean => type === 'TXT' && value === wanted

const cnameAmong = (records: readonly DnsRecord[]): string | undefined =>
  records
    .find(({ type, isServed }) => type === 'CNAME' && isServed)
    ?.value.toLowerCase()
    .replace(/\.$/, '')

/** The rights that proving these names uses. Where a name is led elsewhere by a CNAME, only its owner knows. */
export const dnsZonePermissions = (names: readonly string[]): readonly Permission[] => {
  const zones = new Set(names.flatMap((name) => zonesAbove(name.replace(/^\*\./, ''))))
  return [
    {
      actions: ['alidns:AddDomainRecord', 'alidns:DeleteDomainRecord', 'alidns:DescribeDomainRecords'],
      resources: [...zones].map(resourceOf),
      needed: true,
      why: 'proves names by TXT records in their zone',
    },
  ]
}
