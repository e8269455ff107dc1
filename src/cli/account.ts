import { eachOf } from '../each-of.js'
import { CertError, toCertError } from '../errors.js'
import { type Account, AccountStore, accountLock } from '../issuer/account.js'
import { type OpenSession, rollOver, settleRollover } from '../issuer/account-rollover.js'
import { type Ca, findCa } from '../issuer/ca.js'
import type { AccountState } from '../issuer/protocol.js'
import { readCaBundle } from '../sources/issue-request.js'
import { withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { withSessions } from './ca-sessions.js'
import { defineCommand, exitCodes, type Surroundings } from './command.js'
import { commonFlags, reachFlags, stateRoot } from './common-flags.js'
import { printable } from './deployment.js'
import { text } from './flag.js'
import { issuerFlags, requireEmail } from './issuer-flags.js'
import { errorJson, printJson } from './json.js'
import { Terminal, wantsColor } from './terminal.js'

const actions = ['show', 'update', 'rollover'] as const

const casAtOnce = 4

export const command = defineCommand({
  name: 'account',
  summary:
    'The accounts at CAs. show: those on this machine, and what the CA says of each. update: gives one a new e-mail address. rollover: gives one a new key.',
  flags: {
    ca: text('at which CA: a name or the URL of a directory, as for issue-and-deploy', { placeholder: 'CA' }),
    email: text('which account; with update its new address', { placeholder: 'ADDRESS' }),
    account: text('with update: which account, where there are several, as show names it', { placeholder: 'NAME' }),
    'ca-bundle': issuerFlags['ca-bundle'],
    ...reachFlags,
    ...commonFlags,
  },
  words: { usage: actions.join('|'), least: 1, most: 1 },
  examples: [
    ['acme-oss account show', 'every account there is'],
    ['acme-oss account update --ca letsencrypt --email ops@example.com', 'where the CA writes to from now on'],
  ],
  run: async (values, surroundings, { words: [word = ''] }) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const action = actions.find((one) => one === word)
    if (action === undefined) {
      throw new CertError('USAGE', `acme-oss account does not know "${word}"`, {
        hint: `one of: ${actions.join(', ')}`,
      })
    }
    const email = requireEmail(values.email)
    const ca = values.ca === undefined ? undefined : findCa(values.ca)
    const bundle = values['ca-bundle'] === undefined ? undefined : await readCaBundle(values['ca-bundle'])
    const state = StateFolder.at(stateRoot(values, surroundings))
    const work: Work = {
      state,
      surroundings,
      terminal,
      sessions: (at, act) =>
        withSessions(at, { caBundle: bundle, timeout: values.timeout, surroundings, terminal }, act),
    }
    const stores = await AccountStore.all(state, ca)
    const entries = await {
      show: () => showAll(work, email === undefined ? stores : [chosen(stores, email, ca)]),
      update: () => update(work, chosen(stores, values.account, ca), email),
      rollover: () => rollover(work, chosen(stores, email, ca)),
    }[action]()
    const ok = entries.every(({ error }) => error === undefined)
    if (values.json) terminal.result(printJson(resultJson(action, entries, ok)))
    else if (entries.length === 0) terminal.result(`there is no account (in ${state.root})`)
    else for (const entry of entries) show(terminal, action, entry)
    return ok ? exitCodes.done : exitCodes.failed
  },
})

interface Work {
  readonly state: StateFolder
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  sessions<T>(ca: Ca, act: (open: OpenSession) => Promise<T>): Promise<T>
}

/** One account, and what the CA says of it or why it says nothing. */
interface Entry {
  readonly ca: Ca
  readonly name: string
  readonly url: string | undefined
  readonly state: AccountState | undefined
  readonly error: CertError | undefined
}

/** @throws CertError USAGE where it is not exactly one */
const chosen = (stores: readonly AccountStore[], name: string | undefined, ca: Ca | undefined): AccountStore => {
  const fitting = name === undefined ? stores : stores.filter((store) => store.name === name)
  const [only] = fitting
  if (only !== undefined && fitting.length === 1) return only
  if (only === undefined) {
    const of = name === undefined ? '' : ` of ${name}`
    throw new CertError('USAGE', `there is no account${of}${ca === undefined ? '' : ` at ${ca.name}`}`, {
      hint: 'acme-oss account show lists them; the first issue-and-deploy --agree-tos at a CA registers one',
    })
  }
  const names = fitting.map((store) => `${store.name} at ${store.ca.name}`)
  throw new CertError('USAGE', `there are ${fitting.length} such accounts: ${names.join(', ')}`, {
    hint: 'choose with --ca, and with --email (update: --account) where there are several at one CA',
  })
}

const showAll = (work: Work, stores: readonly AccountStore[]): Promise<Entry[]> =>
  // What is wrong with one keeps no other from being shown.
  eachOf(stores, casAtOnce, async (store) => {
    const account = await store.read().catch(toCertError)
    if (account instanceof CertError) return entryOf(store, undefined, undefined, account)
    if (account?.url === undefined) return entryOf(store, undefined, undefined)
    const { url } = account
    try {
      return await work.sessions(store.ca, async (open) => {
        const settled = account.nextKey === undefined ? account : await settle(work, store, open)
        return entryOf(store, url, await inSession(settled, open, (session) => session.account()))
      })
    } catch (error) {
      return entryOf(store, url, undefined, toCertError(error))
    }
  })

const update = async (work: Work, store: AccountStore, email: string | undefined): Promise<Entry[]> => {
  if (email === undefined) {
    throw new CertError('USAGE', 'the new address is missing', { hint: 'add --email ops@example.com' })
  }
  await store.requireFree(email)
  return await work.sessions(store.ca, async (open) => {
    const account = await settle(work, store, open)
    const contact = [`mailto:${email}`]
    const state = await inSession(account, open, (session) => session.updateAccount({ contact }))
    // Whoever is killed before this can say the same again.
    const renamed = await locked(work, store, () => store.rename(email))
    return [entryOf(renamed, account.url, state)]
  })
}

const rollover = async (work: Work, store: AccountStore): Promise<Entry[]> =>
  await work.sessions(store.ca, async (open) => {
    const account = await locked(work, store, async () => {
      const before = await readAccount(store)
      const settled = await settleRollover(store, before, open)
      if (settled.nextKey !== undefined) throw unknownToCa(store)
      // The one that was interrupted has come to its end.
      if (!settled.key.equals(before.key)) return settled
      return await rollOver(store, settled, open)
    })
    // Not looked at again: what would fail then would hide that it is done.
    return [entryOf(store, account.url, { status: 'valid', contact: [], orders: undefined })]
  })

const settle = (work: Work, store: AccountStore, open: OpenSession): Promise<Account> =>
  locked(work, store, async () => settleRollover(store, await readAccount(store), open))

const locked = <T>({ state, surroundings, terminal }: Work, { ca }: AccountStore, act: () => Promise<T>): Promise<T> =>
  withLock(
    state,
    accountLock(ca),
    {
      signal: surroundings.signal,
      onWait: (owner) => terminal.progress(`waiting for ${owner}, which is at work on an account at ${ca.name}`),
    },
    act,
  )

const readAccount = async (store: AccountStore): Promise<Account> => {
  const account = await store.read()
  if (account !== undefined) return account
  throw new CertError('USAGE', `there is no account of ${store.name} at ${store.ca.name} any more`, {
    hint: 'acme-oss account show lists what there is',
  })
}

const unknownToCa = ({ ca, name }: AccountStore): CertError =>
  new CertError('CA_REFUSED', `${ca.name} knows neither key of the account of ${name}`, {
    hint: 'acme-oss issue-and-deploy with --agree-tos registers it anew',
    vendor: { code: 'accountDoesNotExist' },
  })

const inSession = async <T>(
  { key, url }: Account,
  open: OpenSession,
  act: (session: ReturnType<OpenSession>) => Promise<T>,
): Promise<T> => {
  const session = open(key, url)
  try {
    return await act(session)
  } finally {
    session.close()
  }
}

const entryOf = (
  { ca, name }: AccountStore,
  url: string | undefined,
  state: AccountState | undefined,
  error?: CertError,
): Entry => ({ ca, name, url, state, error })

const statusOf = ({ url, state }: Entry): string => state?.status ?? (url === undefined ? 'not registered' : 'unknown')

const show = (terminal: Terminal, action: string, entry: Entry): void => {
  const { ca, name, url, state, error } = entry
  const done = { update: 'has a new address', rollover: 'has a new key' }[action]
  const what = done === undefined ? statusOf(entry) : done
  terminal.result(`${ca.name}: the account of ${printable(name)}: ${what}`)
  if (url !== undefined) terminal.result(`  ${printable(url)}`)
  if (state !== undefined && state.contact.length > 0) terminal.result(`  ${printable(state.contact.join(', '))}`)
  if (error !== undefined) terminal.failure(error.message, error.hint)
}

const resultJson = (action: string, entries: readonly Entry[], ok: boolean) => ({
  schema: 'acme-oss/1',
  command: 'account',
  ok,
  action,
  accounts: entries.map((entry) => ({
    ca: entry.ca.name,
    directory: entry.ca.directory,
    account: entry.name,
    url: entry.url ?? null,
    status: statusOf(entry),
    contact: entry.state?.contact ?? [],
    orders: entry.state?.orders ?? null,
    error: entry.error === undefined ? null : errorJson(entry.error),
  })),
  warnings: [],
  error: null,
})
