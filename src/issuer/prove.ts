import { setMaxListeners } from 'node:events'
import { CertError, toCertError } from '../errors.js'
import type { Challenge, Solver } from '../solvers/solver.js'
import type { AcmeSession } from './acme-session.js'
import { notIssued, settle } from './order-status.js'
import { explainChallenge } from './problem.js'
import type { AcmeChallenge, Authorization, Order } from './protocol.js'

/** Told what has to be found again after a crash. */
export interface Journal {
  /** Every answer that is about to be put in place. */
  presenting(challenges: readonly Challenge[]): Promise<void>
  /** The CA is about to be told of the first. */
  answering(): void
  /** Those that could not be taken away again. */
  left(challenges: readonly Challenge[]): void
}

export interface ProveOptions {
  readonly session: AcmeSession
  readonly names: readonly string[]
  readonly solver: Solver
  /** How long the CA may take to make up its mind, in ms. */
  readonly patience: number
  readonly journal: Journal
  readonly signal: AbortSignal
  readonly observer: { progress(what: string): void; warning(what: string): void }
}

export interface Proven {
  readonly proven: Order
  /** Settles when nothing is left of the answers; never fails. */
  readonly cleanedUp: Promise<void>
}

/** Answers every challenge of the order, and waits until the CA is convinced. */
export const prove = async (order: Order, options: ProveOptions): Promise<Proven> => {
  if (order.status !== 'pending') {
    if (['ready', 'valid', 'processing'].includes(order.status)) return { proven: order, cleanedUp: Promise.resolve() }
    throw notIssued(order)
  }
  const presented: Presented = { all: [], begun: [] }
  try {
    const proven = await answerAll(order, options, presented)
    // Beside what comes next.
    return { proven, cleanedUp: cleanUp(options, presented) }
  } catch (error) {
    await cleanUp(options, presented)
    throw error
  }
}

interface Presented {
  all: readonly Challenge[]
  readonly begun: Challenge[]
}

const answerAll = async (order: Order, options: ProveOptions, presented: Presented): Promise<Order> => {
  const { session, solver, patience, journal, observer, signal } = options
  // What fails for one name ends the others: the order is lost with it.
  const failure = new AbortController()
  const together = AbortSignal.any([signal, failure.signal])
  // Every name under way listens to it.
  setMaxListeners(0, together)
  const authorizations = await all(
    order.authorizations.map((url) => session.getAuthorization(url)),
    failure,
  )
  const chosen = await Promise.all(authorizations.map((one) => chooseChallenge(options, one)))
  const open = chosen.filter((one) => one !== undefined)
  presented.all = open.map(({ challenge }) => challenge)
  if (open.length > 0) await journal.presenting(presented.all)
  const present = async ({ challenge, acme }: Chosen): Promise<AcmeChallenge> => {
    presented.begun.push(challenge)
    await solver.present(challenge, presented.all, together)
    return acme
  }
  const presenting = open.map(present)
  const waitsForAll = solver.needsAll || solver.settle !== undefined
  const answers = waitsForAll ? await all(presenting, failure) : presenting
  if (open.length > 0) await solver.settle?.(presented.all, (what) => observer.progress(what), together)
  await all(
    [...answers].map(async (one) => {
      const answer = await one
      journal.answering()
      await session.respond(answer)
    }),
    failure,
  )
  const proven = await settle(session, await session.getOrder(order.url), 'pending', patience, signal)
  if (!['ready', 'valid', 'processing'].includes(proven.status)) throw await notProven(session, proven)
  return proven
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

interface Chosen {
  readonly acme: AcmeChallenge
  readonly challenge: Challenge
}

const chooseChallenge = async (
  { session, solver, names }: ProveOptions,
  { status, identifier, challenges }: Authorization,
): Promise<Chosen | undefined> => {
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
  // CAs list the names in any order; each may have a cause of its own.
  const told = failures.sort((one, other) => (one.message < other.message ? -1 : 1))
  const hints = new Set(told.flatMap(({ hint }) => hint ?? []))
  return new CertError('CHALLENGE_FAILED', told.map(({ message }) => message).join('; '), {
    hint: [...hints].join('; '),
    vendor: told[0]?.vendor,
  })
}

const cleanUp = async (
  { solver, observer, journal }: ProveOptions,
  { begun, all: known }: Presented,
): Promise<void> => {
  journal.left(await takeAway(solver, begun, known, (what) => observer.warning(what)))
}

/**
 * Takes the answers away.
 * @returns those that could not be
 */
export const takeAway = async (
  solver: Solver,
  challenges: readonly Challenge[],
  known: readonly Challenge[],
  warn: (what: string) => void,
): Promise<readonly Challenge[]> => {
  // Not the run's own signal: an interrupted run has to clean up as well. Solvers keep to limits of their own.
  const { signal } = new AbortController()
  setMaxListeners(0, signal)
  const results = await Promise.allSettled(challenges.map((challenge) => solver.cleanUp(challenge, known, signal)))
  return results.flatMap((result, i) => {
    const challenge = challenges[i]
    if (result.status === 'fulfilled' || challenge === undefined) return []
    warn(`a challenge was not cleaned up: ${toCertError(result.reason).message}`)
    return [challenge]
  })
}
