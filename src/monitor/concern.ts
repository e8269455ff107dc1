/** Something that a person should know of, and that stays so until somebody or something mends it. */
export interface Concern {
  /** The same for the same thing in every run: by it, what is new is told from what was said before. */
  readonly id: string
  readonly kind: ConcernKind
  /** The name of the certificate; the place, for what is about a place alone. */
  readonly name: string
  /** The target, or the host. */
  readonly place: string | undefined
  /** One sentence, no capital, no full stop: it names the thing. */
  readonly sentence: string
  /** What to do about it. */
  readonly hint: string | undefined
}

export type ConcernKind =
  /** A step was tried and failed, and is tried again. */
  | 'pending'
  /** Nobody knows where a certificate is to go. */
  | 'unresolved'
  /** The newest certificate of a name ends soon, or has ended. */
  | 'expiring'
  | 'expired'
  /** Another certificate stands where one was put, or none. */
  | 'drift'
  | 'not-served'
  /** It could not be renewed when it was due. */
  | 'renewal'
  | 'revoked'
  /** HTTPS is not enforced for now (`https relax`). */
  | 'relaxed'
  /** What is on disk cannot be made sense of. */
  | 'damaged'
