import type { Wanted } from '../monitor/situation.js'
import type { SolverSettings } from '../solvers/solver-settings.js'
import { CertificateStore, certificateNames } from '../state/certificates.js'
import { isOrWasWanted } from '../state/deployment-record.js'
import { deploymentNames, readDeployments } from '../state/deployments.js'
import { StateFolder } from '../state/state-folder.js'
import { withChallengeBucket } from './challenge-bucket.js'
import { chosenNames } from './sync.js'
import type { AskedTarget } from './target-flags.js'

/** One deployment as it was asked for, before its targets are made. */
export interface AskedDeployment extends Omit<Wanted, 'targets'> {
  readonly targets: readonly AskedTarget[]
}

/**
 * What is on record of where certificates go, and of how those that we issue are proven.
 * @param names all there are, where none is given
 * @throws CertError USAGE: nothing is on record under one of them
 */
export const recordedDeployments = async (root: string, names: readonly string[]): Promise<AskedDeployment[]> => {
  const state = StateFolder.at(root)
  const all = new Set([...(await deploymentNames(state)), ...certificateNames(state)])
  const chosen = names.length === 0 ? [...all] : await chosenNames(state, names)
  return await Promise.all(chosen.map((name) => recorded(state, name)))
}

const recorded = async (state: StateFolder, name: string): Promise<AskedDeployment> => {
  const [{ records }, issued] = await Promise.all([
    readDeployments(state, name),
    new CertificateStore(state, name).read(),
  ])
  const isIssued = issued !== undefined && !issued.forgotten
  // What was asked for last says how a place is reached.
  const inOrder = [...records].sort((a, b) => (a.recordedAt < b.recordedAt ? -1 : 1))
  const targets = new Map(
    inOrder.flatMap((record) => Object.entries(record.targets).filter(([, one]) => isOrWasWanted(one))),
  )
  const asked = [...targets.values()].map(({ kind, settings }) => ({ kind, settings }))
  return {
    name,
    domains: inOrder.at(-1)?.names ?? issued?.names ?? [],
    targets: asked,
    // As `issueSettings` made them.
    solver: isIssued ? withChallengeBucket(issued.issue.solver as unknown as SolverSettings, asked) : undefined,
  }
}
