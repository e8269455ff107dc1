import type { OpenSession } from '../issuer/account-rollover.js'
import { AcmeSession } from '../issuer/acme-session.js'
import type { Ca } from '../issuer/ca.js'
import { CaConnection } from '../issuer/ca-connection.js'
import type { Surroundings } from './command.js'
import type { Terminal } from './terminal.js'

interface SessionsOptions {
  /** PEM of the only authorities that the CA's own server is trusted by. */
  readonly caBundle: string | undefined
  /** In seconds. */
  readonly timeout: number
  readonly surroundings: Surroundings
  readonly terminal: Terminal
}

/** Sessions with one CA for as long as `work` needs them, all over one connection. */
export const withSessions = async <T>(
  ca: Ca,
  { caBundle, timeout, surroundings, terminal }: SessionsOptions,
  work: (open: OpenSession) => Promise<T>,
): Promise<T> => {
  const connection = new CaConnection(caBundle)
  try {
    return await work(
      (accountKey, accountUrl) =>
        new AcmeSession({
          directoryUrl: ca.directory,
          ca: ca.name,
          connection,
          accountKey,
          accountUrl,
          externalAccount: undefined,
          // What an earlier run kept may be out of date, and here a round trip more is of no account.
          directory: undefined,
          timeout: timeout * 1000,
          signal: surroundings.signal,
          trace: (line) => terminal.detail(line),
        }),
    )
  } finally {
    connection.close()
  }
}
