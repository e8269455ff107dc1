import type { CasStore } from '../cas/store.js'
import { Bucket, type BucketOptions } from './bucket.js'
import { CustomDomains } from './custom-domains.js'

/** The buckets of the cloud, and the domains bound to them. */
export class Directory {
  readonly #buckets = new Map<string, Bucket>()
  readonly domains: CustomDomains

  /** `cas` holds the certificates of the buckets' owner. */
  constructor(cas: CasStore) {
    this.domains = new CustomDomains(cas)
  }

  /** A bucket of the same name is replaced. */
  add(name: string, options: BucketOptions, now: Date): Bucket {
    if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)) throw new Error(`not a bucket name: ${name}`)
    const bucket = new Bucket(name, options, now)
    this.#buckets.set(name, bucket)
    return bucket
  }

  find(name: string): Bucket | undefined {
    return this.#buckets.get(name)
  }

  /** For the caller that set the bucket up itself. */
  get(name: string): Bucket {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) throw new Error(`no bucket ${name} in the emulator`)
    return bucket
  }
}
