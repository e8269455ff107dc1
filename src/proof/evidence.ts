import type { LeadsTo } from './dns-path.js'
import type { Expectation } from './expectation.js'
import type { Handshake } from './handshake.js'

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
