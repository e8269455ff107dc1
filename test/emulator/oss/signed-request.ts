import type { Parameter } from '../percent-encoding.js'

/** What the signatures of OSS are computed over. The bucket is part of it even where the host does not show it. */
export interface SignedRequest {
  readonly method: string
  readonly bucket: string | undefined
  /** Decoded; empty for calls on the bucket. */
  readonly key: string
  readonly parameters: readonly Parameter[]
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
}
