import type { KeyObject } from 'node:crypto'
import { CertError } from '../errors.js'
import type { Account, AccountStore } from './account.js'
import type { AcmeSession } from './acme-session.js'

/** A session in the name of a key; whoever opens it closes it. */
export type OpenSession = (key: KeyObject, url: string | undefined) => AcmeSession

/**
 * Gives the account a new key. The new one is on disk before the CA is told of it, and the old one until the CA has
 * agreed: a process that is killed anywhere between leaves both, and `settleRollover` finds out which of them holds.
 * @param account one without a `nextKey`
 */
export const rollOver = async (accounts: AccountStore, account: Account, open: OpenSession): Promise<Account> => {
  const key = await accounts.createNextKey()
  const session = open(account.key, account.url)
  try {
    await session.changeKey(key)
  } catch (error) {
    // Even behind a no the change may have been made: proxies say no as well.
    if (!(error instanceof CertError && error.code === 'CA_REFUSED')) throw error
    const settled = await settleRollover(accounts, { ...account, nextKey: key }, open).catch(() => account)
    if (!settled.key.equals(key)) throw error
    return settled
  } finally {
    session.close()
  }
  await accounts.adoptNextKey(key)
  return { key, url: account.url }
}

/**
 * Where an interrupted rollover left two keys, asks the CA which of them it knows; to be called before anything else is
 * asked in the name of the account, and under its lock. Costs nothing where there is only one.
 * @returns the account with the key that holds
 */
export const settleRollover = async (accounts: AccountStore, account: Account, open: OpenSession): Promise<Account> => {
  const { key, nextKey } = account
  if (nextKey === undefined) return account
  const found = nextKey.equals(key) ? account.url : await find(nextKey, open)
  if (found !== undefined) {
    await accounts.adoptNextKey(nextKey)
    return { key: nextKey, url: account.url ?? found }
  }
  // A CA that knows neither key says nothing of which one it will know when it comes to itself: both are kept.
  if ((await find(key, open)) === undefined) return account
  await accounts.dropNextKey()
  return { key, url: account.url }
}

const find = async (key: KeyObject, open: OpenSession): Promise<string | undefined> => {
  const session = open(key, undefined)
  try {
    return await session.findAccount()
  } finally {
    session.close()
  }
}
