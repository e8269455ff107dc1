import type { Statement } from './permissions.js'

/** An access key of a RAM user or of an STS session, and what it may do. */
export interface AccessKey {
  readonly id: string
  readonly secret: string
  /** The session token, for STS keys. */
  readonly token?: string | undefined
  readonly allow: readonly Statement[]
  /** Wins over `allow`, and over public ACLs. */
  readonly deny?: readonly Statement[] | undefined
  /** The session has run out: SecurityTokenExpired. */
  readonly expired?: boolean | undefined
  /** PutObject with `x-oss-object-acl` then does not ask for oss:PutObjectAcl; the vendor's text is not clear on it. */
  readonly aclHeaderNeedsNothing?: boolean | undefined
  /** It is of the account itself, not of a RAM user. */
  readonly ofAccount?: boolean | undefined
  /** Missing objects answer 403, not 404, unless oss:ListObjects is allowed on the bucket. */
  readonly hideMissing?: boolean | undefined
}

/** The keys that the cloud knows. */
export class KeyRing {
  readonly #keys = new Map<string, AccessKey>()

  /** A key of the same id is replaced. */
  add(key: AccessKey): void {
    this.#keys.set(key.id, key)
  }

  remove(id: string): void {
    this.#keys.delete(id)
  }

  find(id: string): AccessKey | undefined {
    return this.#keys.get(id)
  }

  /** Whether some session has this token. */
  knowsToken(token: string): boolean {
    return [...this.#keys.values()].some((key) => key.token === token)
  }
}
