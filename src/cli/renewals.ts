import { type CertError, toCertError } from '../errors.js'
import { CaAdvice } from '../issuer/ca-advice.js'
import type { CaAccess } from '../issuer/ca-sessions.js'
import type { Due, Wanted } from '../pipeline/due.js'
import { type Obtained, obtain, tidyUp } from '../pipeline/obtain.js'
import { requireUseful } from '../pipeline/plan.js'
import { type Advised, decide } from '../pipeline/renewal.js'
import { accessTo, issueRequest } from '../sources/issue-request.js'
import type { Issuer } from '../sources/issuer.js'
import type { IssuedVersion } from '../state/certificates.js'
import type { StateFolder } from '../state/state-folder.js'
import { carryOut, type Ended, type Reach } from './deployment.js'
import { openIssuer, replacing, shownOrder } from './issued.js'
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

/** Renews one certificate after another, or several at a time; what is held open is shared by all of them. */
export class Renewals {
  readonly #options: RenewalsOptions
  readonly #issuer: Issuer
  readonly #advice: CaAdvice
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

  /** The certificate, and the one that is kept ready beside it. Never throws: what failed is in the results. */
  async renew(one: Renewable): Promise<Renewed[]> {
    let wanted: Omit<Wanted, 'deploy'>
    try {
      wanted = await one.wanted()
    } catch (thrown) {
      return [{ name: one.name, due: undefined, ended: undefined, error: toCertError(thrown) }]
    }
    const targets = () => this.#targets(one, wanted)
    const own = await this.#renewOne(wanted, targets)
    if (wanted.issue.standby === undefined) return [own]
    const standby = standbyOf(wanted, await targets().catch(() => []))
    return standby === undefined ? [own] : [own, await this.#renewOne(standby, async () => standby.deploy)]
  }

  async #targets(one: Renewable, wanted: Omit<Wanted, 'deploy'>): Promise<readonly AskedTarget[]> {
    return (await one.remembered()) ?? (await wantedTargets(this.#options.wish, wanted))
  }

  async #renewOne(wish: Omit<Wanted, 'deploy'>, targets: () => Promise<readonly AskedTarget[]>): Promise<Renewed> {
    const { name } = wish
    let due: Due | undefined
    let ended: Ended | undefined
    try {
      due = await this.#decide({ ...wish, deploy: [] })
      if (this.#options.dryRun) return { name, due, ended, error: undefined }
      if (due.due) ended = await this.#order({ ...wish, deploy: await targets() })
      else await this.#tidyUp(wish)
      return { name, due, ended, error: undefined }
    } catch (thrown) {
      return { name, due, ended, error: toCertError(thrown) }
    }
  }

  async #decide(wanted: Wanted): Promise<Due> {
    const { state, force, dryRun, wish } = this.#options
    if (force) return { due: true, why: 'it was asked for' }
    const { now, signal } = wish.surroundings
    const advise = async (version: IssuedVersion & { readonly renewalId: string }): Promise<Advised> => {
      const access = (await this.#accessTo(wanted)).find(({ ca }) => ca.directory === version.directory)
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

  async #order(wanted: Wanted): Promise<Ended> {
    const { state, reach, wish, force, isAlone } = this.#options
    const { terminal, surroundings, values } = wish
    const { now, signal } = surroundings
    const { name, names, issue } = wanted
    const targets = reach.targets(wanted.deploy)
    requireUseful(names, targets)
    const shown = shownOrder(terminal, names, isAlone ? undefined : name, () => {
      for (const target of targets) target.warmUp?.()
    })
    const obtained: Obtained = await obtain({
      wanted,
      tidy: () => this.#issuer.tidy(name, shown.observer),
      issue: async (previous) => {
        const request = await issueRequest(name, names, issue, previous)
        return await shown.during(() => this.#issuer.issue(request, shown.observer))
      },
      state,
      now,
      signal,
      force,
      onWait: (owner) => terminal.progress(waitingFor(owner, name)),
    })
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

const waitingFor = (owner: string, name: string): string => `waiting for ${owner}, which is issuing ${name}`
