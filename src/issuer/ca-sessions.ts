import type { KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import type { Secret } from '../secret.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import { type Account, AccountStore, accountLock } from './account.js'
import { settleRollover } from './account-rollover.js'
import { AcmeSession } from './acme-session.js'
import type { Ca } from './ca.js'
import { CaConnection } from './ca-connection.js'
import type { Directory } from './protocol.js'

/** How a CA is to be met. */
export interface CaAccess {
  readonly ca: Ca
  readonly email: string | undefined
  readonly agreeTos: boolean
  /** Read only when an account is to be registered. */
  readonly externalAccount: (() => Promise<ExternalAccount>) | undefined
  /** PEM of the only authorities that the CA's own server is trusted by. */
  readonly caBundle: string | undefined
}

export interface ExternalAccount {
  readonly kid: string
  readonly hmacKey: Secret
}

export interface CaSessionsOptions {
  readonly state: StateFolder
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly trace: (line: string) => void
}

/** A CA that has been reached, with an account that it knows. */
export interface AccountSession {
  readonly session: AcmeSession
  /** The account's URL. */
  account: string
  /** Registers the key anew, where the CA has forgotten it. */
  register(): Promise<void>
}

// A CA that was down a minute ago is asked again, in ms.
const longestDown = 60_000

/** One connection, one account and one stock of nonces for each CA, shared by all orders of a run. */
export class CaSessions {
  readonly #options: CaSessionsOptions
  readonly #open = new Map<string, Promise<AccountSession>>()
  readonly #connections = new Map<string, CaConnection>()
  readonly #sessions: AcmeSession[] = []

  constructor(options: CaSessionsOptions) {
    this.#options = options
  }

  /**
   * @param nonces how many requests will go out side by side at first
   * @param progress told of a new account
   * @throws CertError CA_UNAVAILABLE, CA_REFUSED, STATE_UNUSABLE, TERMS_NOT_AGREED, USAGE
   */
  open(access: CaAccess, nonces: number, progress: (what: string) => void): Promise<AccountSession> {
    const key = [access.ca.directory, access.email, access.caBundle].join('\n')
    const known = this.#open.get(key)
    if (known !== undefined) return known
    const opening = this.#begin(access, nonces, progress)
    this.#open.set(key, opening)
    opening.catch(() => setTimeout(() => this.#open.delete(key), longestDown).unref())
    return opening
  }

  /** Begins to connect to a CA that will be asked, while there is still other work to do. */
  async warmUp(access: CaAccess): Promise<void> {
    await this.#connection(access)
  }

  /** One for each CA; it has begun to connect by then. One that fails is tried again by the request that needs it. */
  async #connection({ ca, caBundle }: CaAccess): Promise<CaConnection> {
    const key = [ca.directory, caBundle].join('\n')
    const known = this.#connections.get(key)
    if (known !== undefined) return known
    const connection = new CaConnection(caBundle)
    this.#connections.set(key, connection)
    await connection.open(ca.directory)
    return connection
  }

  async #begin(access: CaAccess, nonces: number, progress: (what: string) => void): Promise<AccountSession> {
    const { state, timeout, now, signal, trace } = this.#options
    const { ca } = access
    const connection = await this.#connection(access)
    const accounts = await AccountStore.open(state, ca, access.email)
    const known = await accounts.read()
    if (known?.url === undefined) requireConsent(access)
    const directory = await accounts.readDirectory(now())
    // A CA that has forgotten the account asks for the binding once more; until it does, nobody misses the file.
    const externalAccount = await access.externalAccount?.().catch((error: unknown) => {
      if (known?.url === undefined) throw error
      return undefined
    })
    const meet = (accountKey: KeyObject, accountUrl: string | undefined, kept?: Directory) =>
      new AcmeSession({
        directoryUrl: ca.directory,
        ca: ca.name,
        connection,
        accountKey,
        accountUrl,
        externalAccount,
        directory: kept,
        timeout,
        signal,
        trace,
      })
    // Only the first of all runs makes one, or one after a rollover that was interrupted.
    const isWhole = known !== undefined && known.nextKey === undefined
    const account = isWhole
      ? known
      : await withLock(state, accountLock(ca), { signal }, async () =>
          settleRollover(accounts, await firstAccount(accounts), (key, url) => meet(key, url)),
        )
    const session = meet(account.key, account.url, directory)
    this.#sessions.push(session)
    await session.begin(nonces)
    const current = await session.directory()
    if (current !== directory) await accounts.keepDirectory(current, now())
    const register = async (): Promise<void> => {
      opened.account = await registered(session, accounts, access)
      progress('account registered')
    }
    const opened: AccountSession = { session, account: account.url ?? '', register }
    if (account.url === undefined) await register()
    return opened
  }

  close(): void {
    for (const session of this.#sessions) session.close()
    for (const connection of this.#connections.values()) connection.close()
  }
}

/**
 * Refuses an order that would need a new account where it may not be registered. Looks at the state folder alone.
 * @throws CertError TERMS_NOT_AGREED, USAGE, FILE_UNREADABLE
 */
export const requireAccount = async (state: StateFolder, access: CaAccess): Promise<void> => {
  const known = await (await AccountStore.open(state, access.ca, access.email)).read()
  if (known?.url !== undefined) return
  requireConsent(access)
  await access.externalAccount?.()
}

const requireConsent = ({ agreeTos, ca, externalAccount }: CaAccess): void => {
  if (!agreeTos) {
    throw new CertError(
      'TERMS_NOT_AGREED',
      `there is no account at ${ca.name} yet, and its terms have not been agreed to`,
      {
        hint: `read the terms of ${ca.name}, then add --agree-tos (in the configuration agree-tos: true, below account)`,
      },
    )
  }
  if (ca.bindsAccounts && externalAccount === undefined) {
    throw new CertError('USAGE', `${ca.name} registers only accounts that it knows from its web site`, {
      hint: 'get an account binding (EAB) there and add --eab-kid and --eab-hmac-key-file',
    })
  }
}

/** Another process may have made it since we looked. */
const firstAccount = async (accounts: AccountStore): Promise<Account> =>
  (await accounts.read()) ?? (await accounts.create())

const registered = async (
  session: AcmeSession,
  accounts: AccountStore,
  { email, externalAccount }: CaAccess,
): Promise<string> => {
  const url = await session.createAccount(email === undefined ? [] : [`mailto:${email}`]).catch((error: unknown) => {
    if (externalAccount === undefined || !(error instanceof CertError) || error.code !== 'CA_REFUSED') throw error
    const { message, vendor } = error
    throw new CertError('CA_REFUSED', message, {
      vendor,
      hint: 'check --eab-kid and --eab-hmac-key-file against what the CA shows on its web site; some can be used only once',
    })
  })
  await accounts.keepUrl(url)
  return url
}
