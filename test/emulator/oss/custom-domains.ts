import { randomBytes, type X509Certificate } from 'node:crypto'
import type { CasStore } from '../cas/store.js'
import type { KeyPair } from '../key-pair.js'
import { Timeline } from '../timeline.js'

/** The certificate with which OSS serves a domain. */
export interface CnameCertificate extends KeyPair {
  /** As `CertIdentifier` of the certificate service. */
  readonly certId: string
  readonly type: 'CAS' | 'Upload'
  readonly created: Date
}

/** A domain bound to a bucket. */
export interface Cname {
  readonly host: string
  readonly bucket: string
  readonly modified: Date
  readonly certificate: CnameCertificate | undefined
}

/** Proof that somebody owns a domain, once it stands in DNS. */
export interface CnameToken {
  readonly bucket: string
  readonly host: string
  readonly token: string
  readonly expires: Date
}

const tokenLife = 72 * 3_600_000

/** The domains bound to buckets, and what decides whether one may be. */
export class CustomDomains {
  /** Where certificates come from, and where uploads are kept. */
  readonly cas: CasStore
  /** What the list gives as the fingerprint of a certificate: the documents do not say of which algorithm it is. */
  fingerprintOf = (leaf: X509Certificate): string => leaf.fingerprint
  readonly #cnames = new Map<string, Timeline<Cname | undefined>>()
  readonly #tokens = new Map<string, CnameToken>()
  readonly #txt = new Map<string, Set<string>>()
  readonly #withoutFiling = new Set<string>()

  constructor(cas: CasStore) {
    this.cas = cas
  }

  find(host: string): Cname | undefined {
    return this.#cnames.get(host.toLowerCase())?.current
  }

  /** What an edge shows that learns of changes late. */
  shownAt(host: string, time: number): CnameCertificate | undefined {
    return this.#cnames.get(host)?.at(time)?.certificate
  }

  /** Of one bucket, in the order of their names. */
  of(bucket: string): readonly Cname[] {
    return [...this.#cnames.values()]
      .flatMap(({ current }) => (current?.bucket === bucket ? [current] : []))
      .toSorted((a, b) => (a.host < b.host ? -1 : 1))
  }

  /** As if it had been so all along. */
  place(cname: Cname): void {
    this.#cnames.set(cname.host, new Timeline<Cname | undefined>(cname))
  }

  bind(cname: Cname): void {
    const before = this.#cnames.get(cname.host) ?? new Timeline<Cname | undefined>(undefined)
    before.change(cname)
    this.#cnames.set(cname.host, before)
  }

  unbind(host: string): void {
    this.#cnames.get(host)?.change(undefined)
  }

  /** The valid one that there is; `undefined` where none is. */
  token(bucket: string, host: string, now: Date): CnameToken | undefined {
    const token = this.#tokens.get(`${bucket}/${host}`)
    return token !== undefined && token.expires > now ? token : undefined
  }

  /** The valid one that there is, else a new one. */
  createToken(bucket: string, host: string, now: Date): CnameToken {
    const before = this.token(bucket, host, now)
    if (before !== undefined) return before
    const token = randomBytes(16).toString('hex')
    const created = { bucket, host, token, expires: new Date(now.getTime() + tokenLife) }
    this.#tokens.set(`${bucket}/${host}`, created)
    return created
  }

  publishTxt(name: string, value: string): void {
    const lower = name.toLowerCase().replace(/\.$/, '')
    this.#txt.set(lower, new Set([...(this.#txt.get(lower) ?? []), value]))
  }

  /** Whether a valid token of the bucket stands in DNS. */
  owns(bucket: string, host: string, now: Date): boolean {
    const token = this.token(bucket, host, now)?.token
    return token !== undefined && this.#txt.get(`_dnsauth.${host}`)?.has(token) === true
  }

  withoutFiling(host: string): void {
    this.#withoutFiling.add(host.toLowerCase())
  }

  lacksFiling(host: string): boolean {
    return this.#withoutFiling.has(host)
  }
}
