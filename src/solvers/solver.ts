export type ChallengeType = 'http-01' | 'dns-01' | 'tls-alpn-01'

/** What a CA wants to see before it believes that a name is ours. Kept on disk while it is in place: nothing secret. */
export interface Challenge {
  readonly type: ChallengeType
  /** The name or address that is to be proven, without `*.`. */
  readonly domain: string
  readonly token: string
  /** Where: the path on port 80, the name of the TXT record without a final dot, or the name itself (tls-alpn-01). */
  readonly place: string
  /** What has to stand there. For tls-alpn-01 the key authorization, of which the certificate holds the digest. */
  readonly value: string
}

/** One way to show a CA that a name is ours. */
export interface Solver {
  readonly answers: ChallengeType
  /** Must all challenges be known before the first is presented? */
  readonly needsAll?: boolean
  /** Does `present` wait until nobody else needs the place? */
  readonly takesTurns?: boolean
  /** Called once before anything is ordered; throws where it could not work at all. */
  open?(signal: AbortSignal): Promise<void>
  /**
   * Puts the answer in place; called for several at once.
   * @param all every challenge of the order, where `needsAll` is set; else empty
   */
  present(challenge: Challenge, all: readonly Challenge[], signal: AbortSignal): Promise<void>
  /**
   * Waits until the CA will find the answers, or finds out that it cannot. Called once, when all are in place; the CA is
   * told afterwards.
   * @param report told how it gets on, a few words at a time
   * @throws CertError SOLVER_FAILED
   */
  settle?(challenges: readonly Challenge[], report: (what: string) => void, signal: AbortSignal): Promise<void>
  /**
   * Removes what `present` left, and nothing else. Called for each that was presented or failed to be, also after an
   * interruption, and by a later process, which knows nothing but the challenge, after a crash.
   */
  cleanUp(challenge: Challenge, all: readonly Challenge[], signal: AbortSignal): Promise<void>
  close?(): Promise<void>
}
