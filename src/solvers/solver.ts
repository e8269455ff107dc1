export type ChallengeType = 'http-01' | 'dns-01'

/** What a CA wants to see before it believes that a name is ours. */
export interface Challenge {
  readonly type: ChallengeType
  /** The name or address that is to be proven, without `*.`. */
  readonly domain: string
  readonly token: string
  /** Where: the path on port 80, or the name of the TXT record without a final dot. */
  readonly place: string
  /** What has to stand there. */
  readonly value: string
}

/** One way to show a CA that a name is ours. */
export interface Solver {
  readonly answers: ChallengeType
  /** Must all challenges be known before the first is presented? */
  readonly needsAll?: boolean
  /** Called once before anything is ordered; throws where it could not work at all. */
  open?(signal: AbortSignal): Promise<void>
  /**
   * Puts the answer in place; called for several at once.
   * @param all every challenge of the order, where `needsAll` is set; else empty
   */
  present(challenge: Challenge, all: readonly Challenge[], signal: AbortSignal): Promise<void>
  /** Removes what `present` left. Called for each that was presented or failed to be, also after an interruption. */
  cleanUp(challenge: Challenge, all: readonly Challenge[], signal: AbortSignal): Promise<void>
  close?(): Promise<void>
}
