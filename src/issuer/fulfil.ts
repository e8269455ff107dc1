import { CertError } from '../errors.js'
import type { Solver } from '../solvers/solver.js'
import type { AcmeSession } from './acme-session.js'
import { notIssued, settle } from './order-status.js'
import type { Order } from './protocol.js'
import { type Journal, prove } from './prove.js'

/** Told how an order gets on. */
export interface IssueObserver {
  progress(what: string): void
  /** What a person should know although the order goes on. */
  warning(what: string): void
  /** Every name is proven, and the rest is up to the CA. */
  proven(): void
}

export interface FulfilOptions {
  readonly session: AcmeSession
  /** As `orderNames` gives them. */
  readonly names: readonly string[]
  readonly solver: Solver
  /** The signing request, DER; its key is on disk by the time that it is there. */
  readonly request: Promise<Buffer>
  /** How long the CA may take to decide, in ms, each time that it has to. */
  readonly patience: number
  readonly journal: Journal
  readonly signal: AbortSignal
  readonly observer: IssueObserver
}

/**
 * What an order brings, from wherever it stands (RFC 8555, 7.4): the URL of the certificate. All names are proven side
 * by side. Whatever happens, what was put in place for the CA to look at is taken away again.
 * @throws CertError CA_REFUSED, CA_UNAVAILABLE, CHALLENGE_FAILED, SOLVER_FAILED, PROGRAM_FAILED, INTERRUPTED
 */
export const fulfil = async (order: Order, options: FulfilOptions): Promise<string> => {
  const { session, request, observer } = options
  const { proven, cleanedUp } = await prove(order, options)
  try {
    observer.progress(order === proven ? 'names were proven before' : 'names proven')
    observer.proven()
    const isDone = proven.status === 'valid' || proven.status === 'processing'
    const finalized = isDone ? proven : await finalize(session, proven, await request, options.signal)
    const issued = await decided(finalized, options)
    if (issued.status !== 'valid' || issued.certificate === undefined) throw notIssued(issued)
    return issued.certificate
  } finally {
    await cleanedUp
  }
}

const finalize = async (session: AcmeSession, order: Order, request: Buffer, signal: AbortSignal): Promise<Order> =>
  await session.finalize(order, request).catch(async (error: unknown) => {
    if (!(error instanceof CertError && error.passing) || signal.aborted) throw error
    // Sent once and no more; but perhaps only the answer was lost, and looking does no harm.
    const seen = await session.getOrder(order.url)
    if (seen.status === 'ready') throw error
    return seen
  })

const decided = async (order: Order, { session, patience, signal }: FulfilOptions): Promise<Order> => {
  const isLeftAlone = order.status === 'processing' && order.retryAfter === undefined
  return await settle(session, isLeftAlone ? await session.getOrder(order.url) : order, 'processing', patience, signal)
}
