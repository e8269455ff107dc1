import type { HostedOn, LeadsTo } from './dns-path.js'
import type { Handshake } from './handshake.js'

/** What ought to be served. */
export interface Expectation {
  /** Of the leaf's DER: hexadecimal, lower case. */
  readonly sha256?: string | undefined
  /** The same of each intermediate that ought to be sent with it. */
  readonly chain?: readonly string[] | undefined
  /** Where it has been hosted, if that is known. */
  readonly hostedOn?: HostedOn | undefined
}

/** All that is known of one host at one address. */
export interface Evidence {
  /** As `canonicalName` spells it. */
  readonly host: string
  readonly handshake: Handshake
  readonly expectation: Expectation
  readonly leadsTo: LeadsTo
  readonly now: Date
}

/** What a handshake came to that brought certificates. */
export type Presented = Extract<Handshake, { kind: 'presented' }>
