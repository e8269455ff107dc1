import type { AccessKey } from '../access-key.js'
import type { WireRequest } from '../wire-request.js'
import type { Bucket } from './bucket.js'
import type { CustomDomains } from './custom-domains.js'

/** A request whose sender and bucket are established and whose RAM action is granted. */
export interface OssCall {
  readonly request: WireRequest
  readonly bucket: Bucket
  /** Empty for calls on the bucket. */
  readonly key: string
  /** `undefined` for everybody. */
  readonly sender: AccessKey | undefined
  readonly now: Date
  readonly domains: CustomDomains
  /** Demands a further RAM action, on the same resource unless told; throws where it is not granted. */
  demand(action: string, resource?: string): void
}

/** What an operation answers with; the service adds the headers that every answer has. */
export interface Outcome {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

/** One call of the OSS API. A new one is a file that exports it and a line in `operations.ts`. */
export interface Operation {
  /** The RAM action. */
  readonly action: string
  /** What the vendor's pages call the action elsewhere: either is enough. */
  readonly orAction?: string
  readonly method: 'DELETE' | 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly on: 'bucket' | 'object'
  /** Parameters that must be there: with this value, or with any where it is `true`. */
  readonly query?: Readonly<Record<string, string | true>>
  /** Moves data, so it falls under the rule that closes the public endpoints. Bucket configuration does not. */
  readonly data: boolean
  perform(call: OssCall): Outcome
}
