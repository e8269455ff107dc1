import { isDeepStrictEqual } from 'node:util'
import { CertError, toCertError } from '../errors.js'
import { CaAdvice } from '../issuer/ca-advice.js'
import type { CaAccess } from '../issuer/ca-sessions.js'
import { OrderBudgetSpent } from '../issuer/order-budget.js'
import type { Due, Wanted } from '../pipeline/due.js'
import { tidyUp } from '../pipeline/obtain.js'
import { requireUseful } from '../pipeline/plan.js'
import { type Advised, decide } from '../pipeline/renewal.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { accessTo } from '../sources/issue-request.js'
import type { Issuer } from '../sources/issuer.js'
import { CertificateStore, type IssuedVersion } from '../state/certificates.js'
import { keepFailedRenewal, removeFailedRenewal } from '../state/failed-renewal.js'
import type { StateFolder } from '../state/state-folder.js'
import { withChallengeBucket } from './challenge-bucket.js'
import { carryOut, type Ended, printable, type Reach } from './deployment.js'
import { obtainShown, openIssuer, replacing, shownOrder, waitingFor } from './issued.js'
import { once } from './once.js'
import { type Renewable, standbyOf } from './renewable.js'
import type { AskedTarget } from './target-flags.js'
import { type Wish, wantedTargets } from './wanted-targets.js'

export interface RenewalsOptions {
  readonly state: StateFolder
  readonly reach: Reach
  readonly wish: Wish
  /** Order although it is not due. */
  readonly force: boolean
  readonly dryRun: boolean
  /** Is it the only one, which needs no name in front of each line? */
  readonly isAlone: boolean
  /** Were they named? */
  readonly isAsked: boolean
}

/** What became of one certificate. */
export interface Renewed {
  readonly name: string
  /** Absent where that could not be found out. */
  readonly due: Due | undefined
  /** Where a new one was deployed, or tried to be. */
  readonly ended: Ended | undefined
  readonly error: CertError | undefined
}

/** What is to be done for one certificate. */
export interface Decided {
  readonly renewed: Renewed
  /** Orders and deploys it, where it is due. Never throws. */
  readonly order?: () => Promise<Renewed>
}

/** Renews one certificate after another, or several at a time; what is held open is shared by all of them. */
export class Renewals {
  readonly #options: RenewalsOptions
  readonly #issuer: Issuer
  readonly #advice: CaAdvice
  /** Those of which an order was begun. */
  readonly #begun = new Set<string>()
  readonly #bundles = new Map<string, Promise<readonly CaAccess[]>>()

  constructor(options: RenewalsOptions) {
    this.#options = options
    const { state, reach, wish } = options
    const { surroundings, terminal } = wish
    this.#issuer = openIssuer(state, reach, surroundings, terminal)
    this.#advice = new CaAdvice({
      state,
      timeout: reach.context.timeout,
      now: surroundings.now,
      signal: surroundings.signal,
      trace: (line) => terminal.detail(line),
    })
  }

  /**
   * Finds out what is to be done for a certificate, and for the one that is kept ready beside it. Never throws: what
   * failed is in the results.
   */
  async decide(one: Renewable): Promise<Decided[]> {
    const { force, isAsked } = this.#options
    let wanted: Omit<Wanted, 'deploy'> | undefined
    try {
      wanted = await one.wanted()
    } catch (thrown) {
      const error = await this.#failed(one.name, thrown)
      return [{ renewed: { name: one.name, due: undefined, ended: undefined, error } }]
    }
    if (wanted === undefined) {
      await this.#settled(one.name)
      return isAsked ? [{ renewed: notWanted(one.name) }] : []
    }
    const meant = wanted
    const targets = once(() => this.#targets(one, meant))
    const own = await this.#decideOne(meant, targets, force, meant)
    if (meant.issue.standby === undefined) return [own]
    const standby = standbyOf(meant, await targets().catch(() => []))
    return standby === undefined
      ? [own]
      : [own, await this.#decideOne(standby, async () => standby.deploy, false, meant)]
  }

  async #targets(one: Renewable, wanted: Omit<Wanted, 'deploy'>): Promise<readonly AskedTarget[]> {
    return (await one.remembered()) ?? (await wantedTargets(this.#options.wish, wanted))
  }

  /** @param meant that for which it is, or stands by */
  async #decideOne(
    wish: Omit<Wanted, 'deploy'>,
    targets: () => Promise<readonly AskedTarget[]>,
    force: boolean,
    meant: Omit<Wanted, 'deploy'>,
  ): Promise<Decided> {
    const { name } = wish
    try {
      const due = await this.#due({ ...wish, deploy: [] }, force)
      const renewed = { name, due, ended: undefined, error: undefined }
      if (this.#options.dryRun) return { renewed }
      if (due.due) return { renewed, order: () => this.#renew(due, { ...wish, deploy: [] }, targets, force, meant) }
      await this.#tidyUp(wish)
      await this.#settled(name)
      return { renewed }
    } catch (thrown) {
      return { renewed: { name, due: undefined, ended: undefined, error: await this.#failed(name, thrown) } }
    }
  }

  /** Written down for those who did not see it, such as `status`. */
  async #failed(name: string, thrown: unknown): Promise<CertError> {
    const error = toCertError(thrown)
    const { state, dryRun, wish } = this.#options
    const next = error instanceof OrderBudgetSpent ? error.until : undefined
    if (!dryRun) await keepFailedRenewal(state, name, error, wish.surroundings.now(), next)
    return error
  }

  /** Nothing is to be done for it, so what failed before is past. */
  async #settled(name: string): Promise<void> {
    if (!this.#options.dryRun) await removeFailedRenewal(this.#options.state, name)
  }

  async #renew(
    due: Due,
    wish: Wanted,
    targets: () => Promise<readonly AskedTarget[]>,
    force: boolean,
    meant: Omit<Wanted, 'deploy'>,
  ): Promise<Renewed> {
    const { name } = wish
    const { terminal, surroundings } = this.#options.wish
    try {
      const change = await this.#changeOf(meant)
      if (change !== undefined) {
        terminal.warning(`${printable(name)}: ${change} meanwhile, so it is left to the next run`)
        return { name, due: { due: false, at: surroundings.now() }, ended: undefined, error: undefined }
      }
      this.#begun.add(meant.name)
      const ended = await this.#order({ ...wish, deploy: await targets() }, force)
      await this.#settled(name)
      return { name, due, ended, error: undefined }
    } catch (thrown) {
      return { name, due, ended: undefined, error: await this.#failed(name, thrown) }
    }
  }

  /** What became of the wish since it was read, which may be hours ago; what the configuration says is read once. */
  async #changeOf({ name, names, issue, configured }: Omit<Wanted, 'deploy'>): Promise<string | undefined> {
    if (configured) return undefined
    const known = await new CertificateStore(this.#options.state, name).read()
    if (known === undefined || known.forgotten) return 'it was forgotten'
    // By ourselves: a solver's settings are made whole.
    if (this.#begun.has(name)) return undefined
    const isSame = isDeepStrictEqual([known.names, known.issue], [names, issue])
    return isSame ? undefined : 'something else was asked for'
  }

  async #due(wanted: Wanted, force: boolean): Promise<Due> {
    const { state, dryRun, wish } = this.#options
    if (force) return { due: true, why: 'it was asked for', validUntil: undefined }
    const { now, signal } = wish.surroundings
    const advise = async (version: IssuedVersion & { readonly renewalId: string }): Promise<Advised> => {
      // Files that cannot be read are told of when it is due; what there is may be valid for long.
      const all = await this.#accessTo(wanted).catch(() => undefined)
      if (all === undefined) return { window: undefined, retryAfter: hour }
      const access = all.find(({ ca }) => ca.directory === version.directory)
      // Looking is doing nothing, and asking is not.
      if (access === undefined || dryRun) return { window: undefined, retryAfter: undefined }
      const advice = await this.#advice.ask(access, version.renewalId)
      return 'silent' in advice ? { ...advice, window: undefined } : { ...advice, window: advice }
    }
    return await decide(wanted, { state, now, signal, advise, chance: Math.random, isKept: !dryRun })
  }

  /** The same files are read once for all certificates. */
  #accessTo({ issue }: Wanted): Promise<readonly CaAccess[]> {
    const key = JSON.stringify([issue.ca, issue.caBundle, issue.email])
    const known = this.#bundles.get(key) ?? accessTo(issue)
    this.#bundles.set(key, known)
    return known
  }

  async #order(wanted: Wanted, force: boolean): Promise<Ended> {
    const { state, reach, wish, isAlone } = this.#options
    const { terminal, surroundings, values } = wish
    const { name, names } = wanted
    const solver = withChallengeBucket(wanted.issue.solver as unknown as SolverSettings, wanted.deploy)
    const issue = { ...wanted.issue, solver: { ...solver } }
    const targets = reach.targets(wanted.deploy)
    requireUseful(names, targets)
    const shown = shownOrder(terminal, names, isAlone ? undefined : name, () => {
      for (const target of targets) target.warmUp?.()
    })
    const issuer = this.#issuer
    const settled = { ...wanted, issue }
    const obtained = await obtainShown({ wanted: settled, issuer, shown, state, surroundings, terminal, force })
    return await carryOut({
      command: 'renew',
      json: values.json,
      bundle: obtained.bundle,
      targets: obtained.ordered ? replacing(wanted.deploy, targets, reach) : targets,
      warnings: obtained.warnings,
      said: shown.said,
      order: { ca: obtained.ca, placed: obtained.ordered, ms: obtained.ms },
      onRecorded: obtained.recorded,
      state,
      surroundings,
      terminal,
      ...(!isAlone && { about: name }),
    })
  }

  async #tidyUp({ name, names }: Omit<Wanted, 'deploy'>): Promise<void> {
    const { state, isAlone, wish } = this.#options
    const { terminal, surroundings } = wish
    const { observer } = shownOrder(terminal, names, isAlone ? undefined : name, () => undefined)
    await tidyUp(name, {
      state,
      signal: surroundings.signal,
      tidy: () => this.#issuer.tidy(name, observer),
      onWait: (owner) => terminal.progress(waitingFor(owner, name)),
    })
  }

  close(): void {
    this.#issuer.close()
    this.#advice.close()
  }
}

// In ms.
const hour = 60 * 60 * 1000

const notWanted = (name: string): Renewed => ({
  name,
  due: undefined,
  ended: undefined,
  error: new CertError(
    'USAGE',
    `${name} is not renewed any more: it was forgotten, or taken out of the configuration`,
    {
      hint: 'acme-oss issue-and-deploy, or an entry in the configuration, has it renewed again',
    },
  ),
})
