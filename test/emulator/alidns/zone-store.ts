import type { CallsPerSecond } from '../pop/operation.js'

export interface DnsRecord {
  readonly id: string
  readonly zone: string
  /** `@` at the top of the zone. */
  rr: string
  type: string
  value: string
  ttl: number
  status: 'ENABLE' | 'DISABLE'
  readonly created: Date
}

export interface ZoneOptions {
  /** The zone is in AliDNS, but in another account. */
  readonly ofOthers?: boolean
  /** The name servers that it has been given. */
  readonly servers?: readonly string[]
}

export interface Zone {
  readonly name: string
  readonly ofOthers: boolean
  readonly servers: readonly string[]
  readonly records: Map<string, DnsRecord>
}

/** The zones that AliDNS holds. */
export class ZoneStore {
  /** The most records of a zone. */
  quota = 1000
  /** The shortest TTL, which is a question of the edition. */
  shortestTtl = 600
  callsPerSecond: CallsPerSecond
  readonly #zones = new Map<string, Zone>()
  readonly #now: () => Date
  #nextId = 9_040_301

  constructor(now: () => Date) {
    this.#now = now
  }

  get zones(): readonly Zone[] {
    return [...this.#zones.values()]
  }

  zone(name: string): Zone | undefined {
    return this.#zones.get(name.toLowerCase())
  }

  /** The zone with the longest name that holds `name`. */
  zoneAbove(name: string): Zone | undefined {
    const labels = name.toLowerCase().split('.')
    return labels.map((_, i) => this.zone(labels.slice(i).join('.'))).find((zone) => zone !== undefined)
  }

  addZone(
    name: string,
    { ofOthers = false, servers = ['dns1.hichina.com', 'dns2.hichina.com'] }: ZoneOptions = {},
  ): Zone {
    const zone = { name, ofOthers, servers, records: new Map<string, DnsRecord>() }
    this.#zones.set(name, zone)
    return zone
  }

  record(id: string): DnsRecord | undefined {
    return this.zones.map(({ records }) => records.get(id)).find((record) => record !== undefined)
  }

  /** Puts one there without a request and without checks. */
  addRecord(zone: string, rr: string, type: string, value: string, ttl = 600): DnsRecord {
    const found = this.zone(zone)
    if (found === undefined) throw new Error(`no such zone: ${zone}`)
    const record: DnsRecord = {
      id: String(this.#nextId++),
      zone: found.name,
      rr: rr.toLowerCase(),
      type,
      value,
      ttl,
      status: 'ENABLE',
      created: this.#now(),
    }
    found.records.set(record.id, record)
    return record
  }

  /** What stands at a name, in no zone but the nearest; disabled records are not served. */
  at(name: string): readonly DnsRecord[] {
    const zone = this.zoneAbove(name)
    return zone === undefined
      ? []
      : [...zone.records.values()].filter((one) => one.status === 'ENABLE' && fullName(one) === name.toLowerCase())
  }

  /** The values of a type at a name. */
  values(name: string, type = 'TXT'): string[] {
    return this.at(name)
      .filter((record) => record.type === type)
      .map(({ value }) => value)
  }
}

export const fullName = ({ rr, zone }: DnsRecord): string => (rr === '@' ? zone : `${rr}.${zone}`)
