import type { Readable, Writable } from 'node:stream'
import type { Flags, Values } from './flag.js'

/** The process as a command sees it: everything that is not a value comes in through here. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly input: Readable
  readonly output: Writable
  readonly errors: Writable
  /** Is somebody watching standard error? */
  readonly isTerminal: boolean
  readonly isRoot: boolean
  /** Absolute; undefined for users who have none, as in a container. */
  readonly homeFolder: string | undefined
  readonly now: () => Date
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
}

/** One command: a file of its own, loaded only when it is called. */
export interface Command<F extends Flags> {
  readonly name: string
  readonly summary: string
  readonly flags: F
  /** Two lines, as one would type them. */
  readonly examples: readonly [line: string, does: string][]
  /** @returns the exit status; @throws CertError */
  run(values: Values<F>, surroundings: Surroundings): Promise<number>
}

/** Keeps the flags' types while it is checked to be a command. */
export const defineCommand = <F extends Flags>(command: Command<F>): Command<F> => command

export const exitCodes = { done: 0, failed: 1, refused: 2, partly: 3 } as const
