import type { KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { signingRequest } from '../certificate/signing-request.js'
import { CertError, toCertError } from '../errors.js'
import { interrupted } from '../patience.js'
import type { Challenge, Solver } from '../solvers/solver.js'
import type { AcmeSession } from './acme-session.js'
import { toIdentifier } from './order-names.js'
import { explainChallenge } from './problem.js'
import type { AcmeChallenge, Authorization, Order } from './protocol.js'

/** Told how an order gets on. */
export interface IssueObserver {
  progress(what: string): void
  /** What a person should know although the order goes on. */
  warning(what: string): void
  /** Every name is proven, and the rest is up to the CA. */
  proven(): void
}

export interface IssueOptions {
  readonly session: AcmeSession
  /** As `orderNames` gives them. */
  readonly names: readonly string[]
  readonly solver: Solver
  readonly key: Promise<KeyObject>
  readonly signal: AbortSignal
  readonly observer: IssueObserver
}

// The first look is at once; most CAs have decided by then. In ms.
const firstPause = 50
const longestPause = 5000
// A CA that has not decided by then is not going to today; the order is left to expire.
const patience = 10 * 60_000

/**
 * One certificate, from the order to the PEM chain that the CA answers with (RFC 8555, 7.4). All names are proven side
 * by side. Whatever happens, what was put in place for the CA to look at is taken away again.
 * @throws CertError CA_REFUSED, CA_UNAVAILABLE, CHALLENGE_FAILED, SOLVER_FAILED, PROGRAM_FAILED, INTERRUPTED
 */
export const issue = async (options: IssueOptions): Promise<string> => {
  const { session, names, signal, observer } = options
  const ordering = session.newOrder(names.map(toIdentifier))
  // Made while the order is on its way.
  const request = options.key.then((key) => signingRequest(key, names))
  request.catch(() => undefined)
  const order = await ordering
  observer.progress(`order placed for ${names.length} ${names.length === 1 ? 'name' : 'names'}`)
  const proven = await prove(order, options)
  observer.progress(order === proven ? 'names were proven before' : 'names proven')
  observer.proven()
  const issued = proven.status === 'valid' ? proven : await finalize(session, proven, await request, signal)
  if (issued.status !== 'valid' || issued.certificate === undefined) throw notIssued(issued)
  const { pem: certificate } = await session.certificate(issued.certificate)
  observer.progress('certificate issued')
  return certificate
}

const finalize = async (session: AcmeSession, order: Order, request: Buffer, signal: AbortSignal): Promise<Order> => {
  const finalized = await session.finalize(order, request).catch(async (error: unknown) => {
    if (!(error instanceof CertError && error.passing) || signal.aborted) throw error
    // Sent once and no more; but perhaps only the answer was lost, and looking does no harm.
    const seen = await session.getOrder(order.url)
    if (seen.status === 'ready') throw error
    return seen
  })
  const isLeftAlone = finalized.status === 'processing' && finalized.retryAfter === undefined
  return await settle(session, isLeftAlone ? await session.getOrder(order.url) : finalized, 'processing', signal)
}

/** Answers every challenge of the order, and waits until the CA is convinced. */
const prove = async (order: Order, options: IssueOptions): Promise<Order> => {
  if (order.status !== 'pending') {
    if (order.status === 'ready' || order.status === 'valid') return order
    throw notIssued(order)
  }
  const { session, solver, signal, observer } = options
  const presented: Presented = { all: [], presented: [] }
  // What fails for one name ends the others: the order is lost with it.
  const failure = new AbortController()
  const together = AbortSignal.any([signal, failure.signal])
  try {
    const fetched = order.authorizations.map((url) => session.getAuthorization(url))
    const everyone = Promise.all(fetched).then(async (authorizations) => {
      const chosen = await Promise.all(authorizations.map((one) => chooseChallenge(options, one)))
      presented.all = chosen.filter((one) => one !== undefined).map(({ challenge }) => challenge)
      return chosen
    })
    // Who needs it waits for it; for the others `flows` reports what went wrong.
    everyone.catch(() => undefined)
    const flows = fetched.map(async (fetching, i) => {
      const chosen = solver.needsAll ? (await everyone)[i] : await chooseChallenge(options, await fetching)
      if (chosen === undefined) return
      presented.presented.push(chosen.challenge)
      await solver.present(chosen.challenge, presented.all, together)
      return chosen.acme
    })
    const waitsForAll = solver.needsAll || solver.settle !== undefined
    const answers = waitsForAll ? await all(flows, failure) : flows
    if (presented.presented.length > 0) await solver.settle?.(presented.presented, observer.progress, signal)
    await all(
      [...answers].map(async (one) => respond(session, await one)),
      failure,
    )
    const proven = await settle(session, await session.getOrder(order.url), 'pending', signal)
    if (proven.status !== 'ready' && proven.status !== 'valid') throw await notProven(session, proven)
    return proven
  } finally {
    await cleanUp(options, presented)
  }
}

interface Presented {
  /** All that the order asks for, where the solver needs to know. */
  all: Challenge[]
  readonly presented: Challenge[]
}

const respond = async (session: AcmeSession, challenge: AcmeChallenge | undefined): Promise<void> => {
  if (challenge !== undefined) await session.respond(challenge)
}

/** Waits for all of them even if one fails, so that nothing goes on behind the failure's back. */
const all = async <T>(work: readonly Promise<T>[], failure: AbortController): Promise<T[]> => {
  for (const one of work) one.catch(() => failure.abort())
  const results = await Promise.allSettled(work)
  const reasons = results.flatMap((result) => (result.status === 'rejected' ? [toCertError(result.reason)] : []))
  // Those that were only interrupted say nothing of the cause.
  const reason = reasons.find(({ code }) => code !== 'INTERRUPTED' && code !== 'INTERNAL') ?? reasons[0]
  if (reason !== undefined) throw reason
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
}

const chooseChallenge = async (
  { session, solver, names }: IssueOptions,
  { status, identifier, challenges }: Authorization,
): Promise<{ readonly acme: AcmeChallenge; readonly challenge: Challenge } | undefined> => {
  if (!names.some((name) => name.replace('*.', '') === identifier.value.toLowerCase())) {
    throw new CertError('CA_REFUSED', `the CA asks for a proof of ${identifier.value}, which was not ordered`, {
      hint: 'check --ca',
    })
  }
  // Proven for an earlier order.
  if (status === 'valid') return undefined
  const acme = challenges.find(({ type }) => type === solver.answers)
  if (status !== 'pending' || acme === undefined) {
    throw new CertError(
      'CA_REFUSED',
      `${identifier.value}: the CA does not offer ${solver.answers} (authorization ${status})`,
      {
        hint: `it offers ${challenges.map(({ type }) => type).join(', ') || 'nothing'}: choose with --challenge and --solver`,
      },
    )
  }
  // It becomes a file's name and a program's word: base64url and nothing else (RFC 8555, 8.3).
  if (!/^[A-Za-z0-9_-]{1,200}$/.test(acme.token)) {
    throw new CertError('CA_REFUSED', `${identifier.value}: the CA gave a token that is none (RFC 8555, 8.3)`, {
      hint: 'check --ca',
    })
  }
  const place = {
    'http-01': `/.well-known/acme-challenge/${acme.token}`,
    'dns-01': `_acme-challenge.${identifier.value}`,
    'tls-alpn-01': identifier.value,
  }[solver.answers]
  const value = await session.answerTo(acme)
  return { acme, challenge: { type: solver.answers, domain: identifier.value, token: acme.token, place, value } }
}

/** Looks at the order until it has left `status`: at once, then after growing pauses, or when the CA says. */
const settle = async (session: AcmeSession, first: Order, status: string, signal: AbortSignal): Promise<Order> => {
  const deadline = performance.now() + patience
  let order = first
  for (
    let pause = firstPause;
    order.status === status || (status === 'processing' && order.status === 'ready');
    pause = Math.min(pause * 2, longestPause)
  ) {
    // A CA that asks for no pause at all is not to be hammered.
    const wait = Math.max(order.retryAfter ?? 0, pause)
    if (performance.now() + wait > deadline) {
      const why =
        wait > pause
          ? `the CA asks to wait for another ${Math.ceil(wait / 60_000)} minutes`
          : `the order is still ${status} after ${patience / 60_000} minutes`
      throw new CertError('CA_UNAVAILABLE', why, {
        passing: true,
        hint: 'it may be overloaded: try again later, or use another --ca',
      })
    }
    await sleep(wait, undefined, { signal }).catch(() => {
      throw interrupted()
    })
    order = await session.getOrder(order.url)
  }
  return order
}

/** The order only says that it failed; the authorizations say why. */
const notProven = async (session: AcmeSession, order: Order): Promise<CertError> => {
  const authorizations = await Promise.all(order.authorizations.map((url) => session.getAuthorization(url))).catch(
    () => [],
  )
  const failures = authorizations.flatMap(({ identifier, challenges }) =>
    challenges.flatMap(({ type, problem }) =>
      problem === undefined ? [] : [explainChallenge(identifier.value, type, problem)],
    ),
  )
  const [first] = failures
  if (first === undefined) return notIssued(order)
  if (failures.length === 1) return first
  return new CertError('CHALLENGE_FAILED', failures.map(({ message }) => message).join('; '), {
    hint: first.hint,
    vendor: first.vendor,
  })
}

const notIssued = ({ status, problem }: Order): CertError =>
  new CertError(
    'CA_REFUSED',
    `the CA ended the order as ${status}${problem === undefined ? '' : `: ${problem.type} (${problem.detail})`}`,
    {
      hint: 'nothing was issued; run the command again for a new order',
      vendor: { code: problem?.type ?? status },
    },
  )

const cleanUp = async ({ solver, observer }: IssueOptions, { presented, all: known }: Presented): Promise<void> => {
  // Not the run's own signal: an interrupted run has to clean up as well. Solvers keep to limits of their own.
  const { signal } = new AbortController()
  const results = await Promise.allSettled(presented.map((challenge) => solver.cleanUp(challenge, known, signal)))
  for (const result of results) {
    if (result.status === 'rejected')
      observer.warning(`a challenge was not cleaned up: ${toCertError(result.reason).message}`)
  }
}
