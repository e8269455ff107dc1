import type { AccessKey } from '../access-key.js'
import type { JsonObject } from '../json.js'
import type { Metadata } from './metadata.js'
import type { Given } from './parameters.js'

/** A call whose sender is established, whose parameters fit the metadata, and whose RAM action is granted. */
export interface PopCall {
  readonly given: Given
  readonly now: Date
  readonly sender: AccessKey
}

/** One call of an RPC product. */
export interface PopOperation {
  /** As `Action` and as the RAM action. */
  readonly name: string
  readonly metadata: Metadata
  /** The RAM resources that it asks for, such as `domain/static.example.com`; `*` where there is but one. */
  resources(given: Given): readonly string[]
  /** Members of the answer besides `RequestId`. */
  perform(call: PopCall): JsonObject
}

/** Calls per second, of each operation or by the operation's name; what is left out has no limit. */
export type CallsPerSecond = number | Readonly<Record<string, number>> | undefined

/** One product behind the gateway. */
export interface Product {
  /** The prefix of its RAM actions. */
  readonly ram: string
  /** The host names under which it is asked for begin with this label. */
  readonly host: string
  readonly version: string
  readonly operations: readonly PopOperation[]
  readonly callsPerSecond: () => CallsPerSecond
}
