import { createPrivateKey, type KeyObject } from 'node:crypto'
import { CertError, toCertError } from '../errors.js'
import { type CaAccess, CaSessions, requireAccount } from '../issuer/ca-sessions.js'
import type { KeyType } from '../issuer/certificate-key.js'
import { mayDoElsewhere } from '../issuer/elsewhere.js'
import type { IssueObserver } from '../issuer/fulfil.js'
import { type Given, type OrderWish, orderAt, tidyOrders } from '../issuer/order-at.js'
import { OrderBudgetSpent } from '../issuer/order-budget.js'
import { Secret } from '../secret.js'
import { SharedSolvers } from '../solvers/shared-solvers.js'
import type { Solver } from '../solvers/solver.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import type { StateFolder } from '../state/state-folder.js'
import type { IssuedByCa } from './source.js'

export interface IssuerOptions {
  readonly state: StateFolder
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly signal: AbortSignal
  readonly createSolver: (settings: SolverSettings) => Solver
  readonly trace: (line: string) => void
}

/** A certificate that is to be issued. */
export interface IssueRequest extends Omit<OrderWish, 'key' | 'keyType' | 'patience'> {
  /** In the order in which they are asked. */
  readonly cas: readonly CaAccess[]
  readonly keyType: KeyType
  /** The key of the certificate that is replaced, where it is to be used once more; PEM. */
  readonly key: Secret | undefined
  /** How long one CA may take to decide, in ms. */
  readonly patience: number
}

/** Our own issuer: what it holds open is shared by all that is issued in a run. */
export class Issuer {
  readonly #options: IssuerOptions
  readonly #sessions: CaSessions
  readonly #solvers: SharedSolvers

  constructor(options: IssuerOptions) {
    this.#options = options
    this.#sessions = new CaSessions(options)
    this.#solvers = new SharedSolvers(options.createSolver)
  }

  /**
   * Asks one CA after the other, until one has issued.
   * @throws CertError what the first of them said, and the others after it
   */
  async issue(request: IssueRequest, observer: IssueObserver): Promise<IssuedByCa> {
    const { cas, key } = request
    const failures: CertError[] = []
    for (const [i, access] of cas.entries()) {
      const next = cas[i + 1]
      try {
        const given = await this.#issueAt(access, { ...request, key: readKey(key) }, i > 0, observer)
        const privateKey = given.key.export({ type: 'pkcs8', format: 'pem' }).toString()
        const { certificates, stored, kept } = given
        const { directory, name } = access.ca
        return { certificates, privateKey: new Secret(privateKey), directory, ca: name, stored, kept }
      } catch (thrown) {
        const error = toCertError(thrown)
        failures.push(cas.length > 1 && mayDoElsewhere(error) ? naming(access.ca.name, error) : error)
        if (!mayDoElsewhere(error)) break
        if (next !== undefined) observer.warning(`${failures.at(-1)?.message}: ${next.ca.name} is asked instead`)
      }
    }
    throw together(failures)
  }

  async #issueAt(access: CaAccess, wish: OrderWish, withoutProfile: boolean, observer: IssueObserver): Promise<Given> {
    const { state, now, signal } = this.#options
    const named = { ...observer, progress: (what: string) => observer.progress(`${access.ca.name}: ${what}`) }
    const shared = { sessions: this.#sessions, solvers: this.#solvers }
    const context = { state, now, signal, observer: named, withoutProfile, ...shared }
    return await orderAt(access, wish, context)
  }

  /** Takes away what earlier runs left in place for a CA to look at. @throws CertError STATE_UNUSABLE */
  async tidy(name: string, observer: IssueObserver): Promise<void> {
    await tidyOrders(name, { state: this.#options.state, solvers: this.#solvers, observer })
  }

  /** @throws CertError TERMS_NOT_AGREED, USAGE: there is a CA among them that would give us no account */
  async requireAccounts(cas: readonly CaAccess[]): Promise<void> {
    for (const access of cas) await requireAccount(this.#options.state, access)
  }

  /** Begins to connect to the CA that is asked first, while there is still other work to do. */
  async warmUp([first]: readonly CaAccess[]): Promise<void> {
    if (first !== undefined) await this.#sessions.warmUp(first)
  }

  close(): void {
    this.#sessions.close()
  }
}

const readKey = (key: Secret | undefined): KeyObject | undefined => {
  try {
    return key && createPrivateKey(key.reveal())
  } catch {
    // Damaged on disk: a new one is the way out.
    return undefined
  }
}

/** Where several are asked, which of them it was has to be told. */
const naming = (ca: string, error: CertError): CertError =>
  error.message.includes(ca) ? error : new CertError(error.code, `${ca}: ${error.message}`, { ...error, cause: error })

const together = (failures: readonly CertError[]): CertError => {
  const [first] = failures
  if (first === undefined) return new CertError('INTERNAL', 'no CA was asked')
  if (failures.length === 1) return first
  const message = failures.map((one) => one.message).join('; then ')
  const spent = failures.filter((one) => one instanceof OrderBudgetSpent)
  const soonest = spent.reduce<OrderBudgetSpent | undefined>((a, b) => (a && a.until <= b.until ? a : b), undefined)
  // Nothing but waiting is to be done, and no longer than for the one that may be asked first.
  if (soonest !== undefined && spent.length === failures.length) return soonest.saying(message)
  // Tried again as soon as one of them may do it.
  const [passing] = failures.filter((one) => one.passing).sort((a, b) => (a.retryAfter ?? 0) - (b.retryAfter ?? 0))
  const last = failures.at(-1) ?? first
  const worst = mayDoElsewhere(last) ? (failures.find((one) => !(one instanceof OrderBudgetSpent)) ?? first) : last
  return new CertError(worst.code, message, {
    hint: worst.hint,
    vendor: worst.vendor,
    cause: first,
    passing: passing !== undefined,
    retryAfter: passing?.retryAfter,
  })
}
