import type { IssueObserver } from '../issuer/fulfil.js'
import type { Wanted } from '../pipeline/due.js'
import { type Obtained, obtain } from '../pipeline/obtain.js'
import { createSolver } from '../solvers/index.js'
import { issueRequest } from '../sources/issue-request.js'
import { Issuer } from '../sources/issuer.js'
import type { StateFolder } from '../state/state-folder.js'
import type { DeployTarget } from '../targets/target.js'
import type { Surroundings } from './command.js'
import type { Reach } from './deployment.js'
import type { AskedTarget } from './target-flags.js'
import type { Terminal } from './terminal.js'

/** Our issuer, as far as the command line makes one. */
export const openIssuer = (
  state: StateFolder,
  { context }: Reach,
  surroundings: Surroundings,
  terminal: Terminal,
): Issuer => {
  const { environment, signal, now } = surroundings
  return new Issuer({
    state,
    timeout: context.timeout,
    now,
    signal,
    createSolver: (settings) => createSolver(settings, { ...context, environment }),
    trace: (line) => terminal.detail(line),
  })
}

export interface Shown {
  readonly observer: IssueObserver
  /** The warnings that were shown. */
  readonly said: readonly string[]
  /** Shows that something goes on, for as long as it does. */
  during<T>(work: () => Promise<T>): Promise<T>
}

/**
 * Shows how an order gets on.
 * @param about the name in front of each line, where several are ordered side by side
 * @param onProven told when nothing but the CA's own work is left
 */
export const shownOrder = (
  terminal: Terminal,
  names: readonly string[],
  about: string | undefined,
  onProven: () => void,
): Shown => {
  const front = about === undefined ? '' : `${about}: `
  const said: string[] = []
  let last = performance.now()
  return {
    said,
    observer: {
      progress: (what) => {
        const now = performance.now()
        const time = terminal.paint('dim', `(${Math.round(now - last)} ms)`)
        terminal.progress(`${front}${terminal.paint('green', '✓')} ${what} ${time}`)
        last = now
      },
      warning: (what) => {
        terminal.warning(`${front}${what}`)
        said.push(what)
      },
      proven: onProven,
    },
    during: async (work) => {
      last = performance.now()
      const waiting = `issuing for ${names.join(', ')}`
      terminal.start(waiting)
      try {
        return await work()
      } finally {
        terminal.stop(waiting)
      }
    },
  }
}

export interface ObtainShown {
  readonly wanted: Wanted
  readonly issuer: Issuer
  readonly shown: Shown
  readonly state: StateFolder
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  /** Order although the stored one is not due. */
  readonly force: boolean
}

/** `obtain` by our issuer, with what goes on shown. */
export const obtainShown = async (options: ObtainShown): Promise<Obtained> => {
  const { wanted, issuer, shown, state, surroundings, terminal, force } = options
  const { name, names, issue } = wanted
  return await obtain({
    wanted,
    tidy: () => issuer.tidy(name, shown.observer),
    issue: async (previous) => {
      const request = await issueRequest(name, names, issue, previous)
      return await shown.during(() => issuer.issue(request, shown.observer))
    },
    state,
    now: surroundings.now,
    signal: surroundings.signal,
    force,
    onWait: (owner) => terminal.progress(waitingFor(owner, name)),
  })
}

export const waitingFor = (owner: string, name: string): string => `waiting for ${owner}, which is issuing ${name}`

/** The targets that replace whatever is there, in this run: what is recorded for later ones is what was asked for. */
export const replacing = (
  asked: readonly AskedTarget[],
  targets: readonly DeployTarget[],
  reach: Reach,
): DeployTarget[] =>
  reach.targets(asked.map(allowingOlder)).map((target, i) => ({
    ...target,
    settings: targets[i]?.settings ?? target.settings,
  }))

const allowingOlder = ({ kind, settings }: AskedTarget): AskedTarget => ({
  kind,
  settings: { ...settings, 'allow-older': true },
})

export const dayOf = (time: Date): string => time.toISOString().slice(0, 10)
