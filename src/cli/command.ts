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
  /** Where the process stands. */
  readonly folder: string
  readonly userId: number | undefined
  readonly now: () => Date
  /** Aborted by the first Ctrl-C or SIGTERM. */
  readonly signal: AbortSignal
}

/** What was given to a command. */
export interface Parsed<F extends Flags> {
  readonly values: Values<F>
  /** What was passed over, one sentence each. */
  readonly ignored: readonly string[]
  /** What is not a flag, in order; all that stands behind `--` is. */
  readonly words: readonly string[]
  /** The values of flags, of the command's late ones too, with what the configuration file says beneath them all. */
  read<G extends Flags>(flags: G, file?: Layer): Values<G>
}

/** What the configuration file gives for flags, in words as they would be typed. */
export type Layer = Readonly<Record<string, readonly string[]>>

/** One command: a file of its own, loaded only when it is called. */
export interface Command<F extends Flags> {
  readonly name: string
  readonly summary: string
  readonly flags: F
  /** Flags that it takes as well, and reads only when it has got so far: a fault in them is not to stop it before. */
  readonly late?: Flags
  /** A variable that cannot be read is passed over with a warning: what was handed over counts for more. */
  readonly isForgiving?: true
  /** What it takes beside flags; nothing, where this is missing. */
  readonly words?: {
    /** As it stands in the help: `[NAME...]`. */
    readonly usage: string
    readonly least?: number
    readonly most: number
  }
  /** Two lines, as one would type them. */
  readonly examples: readonly [line: string, does: string][]
  /** @returns the exit status; @throws CertError */
  run(values: Values<F>, surroundings: Surroundings, parsed: Parsed<F>): Promise<number>
}

/** Keeps the flags' types while it is checked to be a command. */
export const defineCommand = <F extends Flags>(command: Command<F>): Command<F> => command

export const exitCodes = { done: 0, failed: 1, refused: 2, partly: 3 } as const
