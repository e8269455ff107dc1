import type { KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import { type Account, AccountStore } from '../issuer/account.js'
import { AcmeSession } from '../issuer/acme-session.js'
import type { Ca } from '../issuer/ca.js'
import { CaConnection } from '../issuer/ca-connection.js'
import { generateKey, type KeyType } from '../issuer/certificate-key.js'
import { type IssueObserver, issue } from '../issuer/issue.js'
import { Secret } from '../secret.js'
import type { Solver } from '../solvers/solver.js'
import { withLock } from '../state/lock.js'
import type { StateFolder } from '../state/state-folder.js'
import type { Source } from './source.js'

export interface IssuerOptions {
  readonly name: string | undefined
  readonly names: readonly string[]
  readonly ca: Ca
  readonly email: string | undefined
  readonly agreeTos: boolean
  readonly externalAccount: { readonly kid: string; readonly hmacKey: Secret } | undefined
  /** PEM of the only authorities that the CA's own server is trusted by. */
  readonly caBundle: string | undefined
  readonly keyType: KeyType
  readonly solver: Solver
  readonly state: StateFolder
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly observer: IssueObserver
  readonly trace: (line: string) => void
}

/**
 * Our own issuer: an order at a CA.
 * @throws CertError TERMS_NOT_AGREED or USAGE before anything is sent; see `issue` for the rest
 */
export const issuerSource = (options: IssuerOptions): Source => ({
  collect: async (signal) => {
    const { ca, state, solver, now } = options
    const accounts = await AccountStore.open(state, ca, options.email)
    const known = await accounts.read()
    if (known?.url === undefined) requireConsent(options)
    const connection = new CaConnection(options.caBundle)
    try {
      // Where challenges cannot be answered at all, nothing is ordered.
      await solver.open?.(signal)
      await connection.open(ca.directory)
      const key = generateKey(options.keyType)
      key.catch(() => undefined)
      const account =
        known ?? (await withLock(state, `account at ${ca.directory}`, { signal }, () => firstAccount(accounts)))
      const directory = await accounts.readDirectory(now())
      const session = new AcmeSession({
        directoryUrl: ca.directory,
        ca: ca.name,
        connection,
        accountKey: account.key,
        accountUrl: account.url,
        externalAccount: options.externalAccount,
        directory,
        timeout: options.timeout,
        signal,
        trace: options.trace,
      })
      try {
        await session.begin(options.names.length)
        const current = await session.directory()
        if (current !== directory) await accounts.keepDirectory(current, now())
        if (account.url === undefined) await register(session, accounts, options)
        const certificates = await orderWithAccount(session, accounts, key, options, signal)
        const privateKey = (await key).export({ type: 'pkcs8', format: 'pem' }).toString()
        return { name: options.name, certificates, privateKey: new Secret(privateKey) }
      } finally {
        session.close()
      }
    } finally {
      connection.close()
      await solver.close?.()
    }
  },
})

/**
 * Refuses an order that would need a new account where it may not be registered. Looks at the state folder alone.
 * @throws CertError TERMS_NOT_AGREED, USAGE
 */
export const requireAccount = async (options: Consent): Promise<void> => {
  const known = await (await AccountStore.open(options.state, options.ca, options.email)).read()
  if (known?.url === undefined) requireConsent(options)
}

type Consent = Pick<IssuerOptions, 'agreeTos' | 'ca' | 'email' | 'externalAccount' | 'state'>

const requireConsent = ({ agreeTos, ca, externalAccount }: Consent): void => {
  if (!agreeTos) {
    throw new CertError(
      'TERMS_NOT_AGREED',
      `there is no account at ${ca.name} yet, and its terms have not been agreed to`,
      {
        hint: `read the terms of ${ca.name}, then add --agree-tos`,
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

const register = async (
  session: AcmeSession,
  accounts: AccountStore,
  { email, externalAccount, observer }: IssuerOptions,
): Promise<void> => {
  const url = await session.createAccount(email === undefined ? [] : [`mailto:${email}`]).catch((error: unknown) => {
    if (externalAccount === undefined || !(error instanceof CertError) || error.code !== 'CA_REFUSED') throw error
    const { message, vendor } = error
    throw new CertError('CA_REFUSED', message, {
      vendor,
      hint: 'check --eab-kid and --eab-hmac-key-file against what the CA shows on its web site; some can be used only once',
    })
  })
  await accounts.keepUrl(url)
  observer.progress('account registered')
}

const orderWithAccount = async (
  session: AcmeSession,
  accounts: AccountStore,
  key: Promise<KeyObject>,
  options: IssuerOptions,
  signal: AbortSignal,
): Promise<string> => {
  const order = () => issue({ ...options, session, key, signal })
  try {
    return await order()
  } catch (error) {
    const isForgotten = error instanceof CertError && error.vendor?.code === 'accountDoesNotExist'
    if (!isForgotten || !options.agreeTos) throw error
    // The key is ours all the same, so the account can be had anew.
    await register(session, accounts, options)
    return await order()
  }
}
