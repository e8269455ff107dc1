import type { X509Certificate } from 'node:crypto'
import { type AccessKey, KeyRing } from './access-key.js'
import { alidnsProduct } from './alidns/product.js'
import { ZoneStore } from './alidns/zone-store.js'
import { busiestSecond } from './busiest-second.js'
import { casProduct } from './cas/product.js'
import { CasStore } from './cas/store.js'
import type { Domain, DomainOptions } from './cdn/domain.js'
import { DomainStore } from './cdn/domain-store.js'
import { cdnProduct, dcdnProduct } from './cdn/product.js'
import { boundAt, domainOf, versionsOf } from './edge/bound.js'
import { type Edge, type EdgeOptions, startEdge } from './edge/edge.js'
import { originService } from './edge/origin-service.js'
import { exchange } from './exchange.js'
import { type Fault, FaultBook, type FaultCondition, type FaultHandle } from './fault.js'
import { Journal, type RecordedRequest } from './journal.js'
import { givenKeyPair, type PemPair } from './key-pair.js'
import { type Listener, type ListenerOptions, listen } from './listener.js'
import type { Bucket, BucketOptions, StoredObject } from './oss/bucket.js'
import type { Cname, CnameCertificate } from './oss/custom-domains.js'
import { Directory } from './oss/directory.js'
import { ossService } from './oss/service.js'
import { objectTree } from './oss/tree.js'
import { popService } from './pop/service.js'
import type { Service } from './service.js'
import { stsProduct } from './sts/product.js'

export interface EmulatorOptions {
  /** A free one unless told. */
  readonly port?: number
  /** With these the emulator speaks https. */
  readonly tls?: ListenerOptions['tls']
  readonly now?: () => Date
  /** Lets `/bucket/key` through on the emulator's own address, which the real service refuses. */
  readonly pathStyle?: boolean
}

export interface CnameOptions {
  /** `certId` as `CertIdentifier`, `<number>-cn-hangzhou`; without one it is an upload to OSS. */
  readonly certificate?: (PemPair & { readonly certId?: string }) | undefined
}

/** An Alibaba Cloud on 127.0.0.1. */
export interface Emulator {
  readonly url: string
  readonly port: number
  /** Every request received whole so far, in order. */
  readonly requests: readonly RecordedRequest[]
  /** The most requests for an action (`cdn:SetCdnDomainSSLCertificate`, `cdn:*`) that came within any one second. */
  busiestSecond(action: string): number
  /** TCP connections accepted so far. */
  readonly connections: number
  /** Ends all connections, hanging ones too. */
  close(): Promise<void>

  /** Settings of the bucket that comes back may be changed while the emulator runs. */
  addBucket(name: string, options?: BucketOptions): Bucket
  objects(bucket: string): ReadonlyMap<string, StoredObject>
  /** Puts an object there without a request and without checks; header names in any case. */
  putObject(
    bucket: string,
    key: string,
    body: string | Uint8Array,
    headers?: Readonly<Record<string, string>>,
  ): StoredObject
  /** As if it had been so all along. A certificate with an identifier of CAS is put there too, unless it is there. */
  bindCname(host: string, bucket: string, options?: CnameOptions): void
  /** From now on ListCname tells this of a certificate instead of its SHA-1. */
  listFingerprints(of: (leaf: X509Certificate) => string): void
  /** What a domain is bound to at the moment. */
  cname(host: string): Cname | undefined
  /** A TXT record, for the proof that somebody owns a domain: `_dnsauth.<domain>`. */
  publishTxt(name: string, value: string): void
  /** The domain has no ICP filing, so that no bucket gets it. */
  withoutFiling(host: string): void
  /** The objects of a bucket with their sizes, for people. */
  tree(bucket: string): string

  /** A server that shows what is bound, over TLS alone. It closes with the emulator. */
  startEdge(options?: EdgeOptions): Promise<Edge>
  /** The same over plain HTTP: what strangers get who ask for `http://<domain>/`. */
  startPlainEdge(options?: Omit<EdgeOptions, 'delayMs'>): Promise<Listener>
  readonly cdn: DomainStore
  readonly dcdn: DomainStore
  readonly cas: CasStore
  readonly alidns: ZoneStore
  /** A wildcard domain is spelled `.example.com`. */
  addCdnDomain(name: string, options?: DomainOptions): Domain
  addDcdnDomain(name: string, options?: DomainOptions): Domain

  addKey(key: AccessKey): void
  removeKey(id: string): void

  /** From now on, requests that fulfil the condition meet the fault. */
  fail(when: FaultCondition, fault: Fault): FaultHandle
  /** Every request from now on takes this much longer. */
  latency(ms: number): void
}

const lowerCaseNames = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

const placedCertificate = (
  cas: CasStore,
  { certId, ...pair }: NonNullable<CnameOptions['certificate']>,
  created: Date,
): CnameCertificate => {
  const id = certId === undefined ? undefined : Number.parseInt(certId, 10)
  const stored = (certId && cas.byIdentifier(certId)) || cas.add({ ...pair, id })
  if (certId !== undefined && stored.identifier !== certId) throw new Error(`not an identifier of this CAS: ${certId}`)
  return { ...givenKeyPair(pair), certId: stored.identifier, type: certId ? 'CAS' : 'Upload', created }
}

export const startEmulator = async (options: EmulatorOptions = {}): Promise<Emulator> => {
  const now = options.now ?? (() => new Date())
  const keys = new KeyRing()
  const cas = new CasStore()
  const alidns = new ZoneStore(now)
  const directory = new Directory(cas)
  const cdn = new DomainStore(now)
  const dcdn = new DomainStore(now)
  const faults = new FaultBook()
  const journal = new Journal()
  const closing = new AbortController()
  const edges: { close(): Promise<void> }[] = []
  let latency = 0

  const ossParts = { directory, keys, now, pathStyle: options.pathStyle ?? false }
  const oss = ossService(ossParts)
  const products = [cdnProduct(cdn, cas), dcdnProduct(dcdn, cas), casProduct(cas), alidnsProduct(alidns), stsProduct()]
  const pop = popService({ products, keys, now })
  const services: readonly Service[] = [pop, oss]
  const answering = (services: readonly Service[]) =>
    exchange({ services, faults, journal, now, latency: () => latency, closing: closing.signal })
  const onRequest = answering(services)
  const listener = await listen({ port: options.port, tls: options.tls, onRequest })

  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${listener.port}`,
    port: listener.port,
    requests: journal.requests,
    busiestSecond: (action) => busiestSecond(journal.requests, action),
    get connections() {
      return listener.connections
    },
    async close() {
      closing.abort()
      await Promise.all([listener, ...edges].map((one) => one.close()))
    },
    addBucket: (name, bucket = {}) => directory.add(name, bucket, now()),
    objects: (bucket) => directory.get(bucket).objects,
    putObject: (bucket, key, body, headers = {}) =>
      directory.get(bucket).store(key, Buffer.from(body), lowerCaseNames(headers), now()),
    bindCname(host, bucket, { certificate } = {}) {
      directory.domains.place({
        host: host.toLowerCase(),
        bucket,
        modified: now(),
        certificate: certificate && placedCertificate(cas, certificate, now()),
      })
    },
    listFingerprints(of) {
      directory.domains.fingerprintOf = of
    },
    cname: (host) => directory.domains.find(host),
    publishTxt: (name, value) => directory.domains.publishTxt(name, value),
    withoutFiling: (host) => directory.domains.withoutFiling(host),
    async startEdge(edge = {}) {
      const { products = ['cdn', 'dcdn', 'oss'] } = edge
      const cloud = { cdn, dcdn, domains: directory.domains, bucketOf: (name: string) => directory.find(name) }
      const origin = originService({ directory, now, plain: false, domainOf: domainOf(cloud, products) })
      const started = await startEdge(
        {
          now,
          onRequest: answering([origin, oss]),
          boundAt: boundAt(cloud, products),
          versionsOf: versionsOf(cloud, products),
        },
        edge,
      )
      edges.push(started)
      return started
    },
    async startPlainEdge(edge = {}) {
      const { port, address, products = ['cdn', 'dcdn', 'oss'] } = edge
      const cloud = { cdn, dcdn, domains: directory.domains, bucketOf: (name: string) => directory.find(name) }
      const origin = originService({ directory, now, plain: true, domainOf: domainOf(cloud, products) })
      const onRequest = answering([origin, ossService({ ...ossParts, plain: true })])
      const listener = await listen({ port, address, onRequest })
      edges.push(listener)
      return listener
    },
    cdn,
    dcdn,
    cas,
    alidns,
    addCdnDomain: (name, domain = {}) => cdn.add(name, domain),
    addDcdnDomain: (name, domain = {}) => dcdn.add(name, domain),
    tree: (bucket) => objectTree(bucket, directory.get(bucket).objects),
    addKey: (key) => keys.add(key),
    removeKey: (id) => keys.remove(id),
    fail: (when, fault) => faults.add(when, fault),
    latency(ms) {
      latency = ms
    },
  }
}
