import { type AccessKey, KeyRing } from './access-key.js'
import { exchange } from './exchange.js'
import { type Fault, FaultBook, type FaultCondition, type FaultHandle } from './fault.js'
import { Journal, type RecordedRequest } from './journal.js'
import { type ListenerOptions, listen } from './listener.js'
import type { Bucket, BucketOptions, StoredObject } from './oss/bucket.js'
import { Directory } from './oss/directory.js'
import { ossService } from './oss/service.js'
import { objectTree } from './oss/tree.js'
import type { Service } from './service.js'

export interface EmulatorOptions {
  /** A free one unless told. */
  readonly port?: number
  /** With these the emulator speaks https. */
  readonly tls?: ListenerOptions['tls']
  readonly now?: () => Date
  /** Lets `/bucket/key` through on the emulator's own address, which the real service refuses. */
  readonly pathStyle?: boolean
}

/** An Alibaba Cloud on 127.0.0.1. */
export interface Emulator {
  readonly url: string
  readonly port: number
  /** Every request received whole so far, in order. */
  readonly requests: readonly RecordedRequest[]
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
  bindCname(host: string, bucket: string): void
  /** The objects of a bucket with their sizes, for people. */
  tree(bucket: string): string

  addKey(key: AccessKey): void
  removeKey(id: string): void

  /** From now on, requests that fulfil the condition meet the fault. */
  fail(when: FaultCondition, fault: Fault): FaultHandle
  /** Every request from now on takes this much longer. */
  latency(ms: number): void
}

const lowerCaseNames = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

export const startEmulator = async (options: EmulatorOptions = {}): Promise<Emulator> => {
  const now = options.now ?? (() => new Date())
  const keys = new KeyRing()
  const directory = new Directory()
  const faults = new FaultBook()
  const journal = new Journal()
  const closing = new AbortController()
  let latency = 0

  const services: readonly Service[] = [ossService({ directory, keys, now, pathStyle: options.pathStyle ?? false })]
  const onRequest = exchange({ services, faults, journal, now, latency: () => latency, closing: closing.signal })
  const listener = await listen({ port: options.port, tls: options.tls, onRequest })

  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${listener.port}`,
    port: listener.port,
    requests: journal.requests,
    get connections() {
      return listener.connections
    },
    close() {
      closing.abort()
      return listener.close()
    },
    addBucket: (name, bucket = {}) => directory.add(name, bucket, now()),
    objects: (bucket) => directory.get(bucket).objects,
    putObject: (bucket, key, body, headers = {}) =>
      directory.get(bucket).store(key, Buffer.from(body), lowerCaseNames(headers), now()),
    bindCname(host, bucket) {
      directory.bind(host, bucket)
    },
    tree: (bucket) => objectTree(bucket, directory.get(bucket).objects),
    addKey: (key) => keys.add(key),
    removeKey: (id) => keys.remove(id),
    fail: (when, fault) => faults.add(when, fault),
    latency(ms) {
      latency = ms
    },
  }
}
