import { certificateNamed } from '../config/config.js'
import { CertError } from '../errors.js'
import { nearest } from '../nearest.js'
import { isStandby } from '../standby-name.js'
import { type DeploymentRecord, isOrWasWanted } from '../state/deployment-record.js'
import { deploymentNames, readDeployments } from '../state/deployments.js'
import type { StateFolder } from '../state/state-folder.js'
import { auto } from '../targets/auto.js'
import { targetOptions } from '../targets/index.js'
import { type AskedTarget, askedCommand, askedTargets, withReach } from './target-flags.js'
import { sayThatFileIsLeftAside, targetName, targetsOfEntry, type Wish } from './wanted-targets.js'

/** What a command is about that goes back to what was deployed before. */
export interface Standing {
  /** Undefined where nothing is on record of the place that flags named. */
  readonly name: string | undefined
  /** Where flags say, else where its entry in the configuration does, else wherever it is or was wanted on record. */
  readonly asked: readonly AskedTarget[]
  readonly records: readonly DeploymentRecord[]
}

/**
 * Finds out which certificate is meant, and where it is.
 * @param state where the records are; an error where they cannot be read: flags or the configuration have to say, then
 * @throws CertError USAGE, CONFIG_INVALID, FILE_UNREADABLE, STATE_UNUSABLE
 */
export const standingTargets = async (
  wish: Wish,
  state: StateFolder | CertError,
  word: string | undefined,
): Promise<Standing> => {
  const flags = wish.targetValues()
  const asked = askedTargets(flags)
  if (asked.length > 0) {
    const known = 'root' in state ? await recordsOn(state, asked, word) : { name: word, records: [] }
    await sayThatFileIsLeftAside(wish.values, wish.surroundings, wish.terminal, wish.typed)
    return { ...known, asked }
  }
  const config = await wish.config()
  const entries = config?.certificates.filter(({ deploy }) => deploy.length > 0) ?? []
  const configured = entries.map((entry) => entry.name)
  const isReadable = 'root' in state
  if (!isReadable && !configured.some((one) => word === undefined || one === word)) throw state
  const recorded = isReadable ? (await deploymentNames(state)).filter((name) => !isStandby(name)) : []
  const name = chosen(word, [...new Set([...configured, ...recorded])], (one) => (isReadable ? state.path(one) : one))
  const records = isReadable ? (await readDeployments(state, name)).records : []
  const entry = config && certificateNamed(config, name)
  if (config !== undefined && entry !== undefined && entry.deploy.length > 0) {
    return { name, asked: targetsOfEntry(config, entry, flags), records }
  }
  return { name, asked: withCommands(withReach(flags, recordedTargets(records)), askedCommand(flags)), records }
}

/** One that is on record already is run once, as it is asked for now. */
const withCommands = (recorded: readonly AskedTarget[], commands: readonly AskedTarget[]): AskedTarget[] => {
  const names = commands.map(targetName)
  return [...recorded.filter((one) => !names.includes(targetName(one))), ...commands]
}

const recordsOn = async (
  state: StateFolder,
  asked: readonly AskedTarget[],
  word: string | undefined,
): Promise<Pick<Standing, 'name' | 'records'>> => {
  const name = word ?? (await nameOn(state, asked))
  return { name, records: name === undefined ? [] : (await readDeployments(state, name)).records }
}

const chosen = (word: string | undefined, names: readonly string[], pathOf: (name: string) => string): string => {
  const [only, second] = names
  if (word === undefined && only !== undefined && second === undefined) return only
  // A long name is shortened on disk.
  const known = names.find((one) => word !== undefined && pathOf(one) === pathOf(word))
  if (known !== undefined) return known
  const place = 'a place by flags, such as --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/'
  if (word === undefined) {
    throw new CertError(
      'USAGE',
      names.length === 0 ? 'nothing was ever deployed from here' : 'it is not said which certificate is meant',
      { hint: names.length === 0 ? `give ${place}` : `one of: ${names.slice(0, 5).join(', ')}; or ${place}` },
    )
  }
  const near = nearest(word, names)
  throw new CertError('USAGE', `nothing is or was wanted under the name ${word}`, {
    hint: near === undefined ? `acme-oss status lists the names; or give ${place}` : `did you mean ${near}?`,
  })
}

/** The one name under which anything was put in one of these places. */
const nameOn = async (state: StateFolder, asked: readonly AskedTarget[]): Promise<string | undefined> => {
  // A command may be the same for many.
  const places = new Set(asked.filter(({ kind }) => kind !== 'exec').map(targetName))
  const found: string[] = []
  for (const name of (await deploymentNames(state)).filter((one) => !isStandby(one))) {
    const { records } = await readDeployments(state, name)
    if (recordedTargets(records).some((one) => places.has(targetName(one)))) found.push(name)
  }
  if (found.length > 1) {
    throw new CertError('USAGE', `several certificates go there: ${found.join(', ')}`, {
      hint: `say which one is meant, such as ${found[0]}`,
    })
  }
  return found[0]
}

/**
 * The names of targets on record that are not among those that are asked for; what `auto` of the same kind may find is.
 */
export const leftAlone = ({ asked, records }: Standing): string[] => {
  const names = new Set(asked.map(targetName))
  const isFound = ({ kind, settings }: AskedTarget): boolean =>
    asked.some(
      (one) => one.kind === kind && one.settings['domain'] === auto && one.settings['bucket'] === settings['bucket'],
    )
  return recordedTargets(records)
    .filter((one) => !names.has(targetName(one)) && !isFound(one))
    .map(targetName)
}

/**
 * Every target that a certificate of the name is or was wanted on, as it was asked for last. Of commands, those that go
 * with the last certificate that has any: what was run for one before need not be of use any more.
 */
const recordedTargets = (records: readonly DeploymentRecord[]): AskedTarget[] => {
  const found = new Map<string, AskedTarget>()
  let commandsOf: DeploymentRecord['targets'] | undefined
  for (const { targets } of [...records].sort((a, b) => (a.recordedAt < b.recordedAt ? 1 : -1))) {
    for (const target of Object.values(targets)) {
      const { kind, name, settings } = target
      if (found.has(name) || !isOrWasWanted(target) || settings['archive-only'] === true) continue
      if (target.afterOthers) commandsOf ??= targets
      if (target.afterOthers && commandsOf !== targets) continue
      if (isMade({ kind, settings })) found.set(name, { kind, settings })
    }
  }
  return [...found.values()]
}

/** A kind, or a setting, of another version. */
const isMade = (target: AskedTarget): boolean => {
  try {
    return Object.hasOwn(targetOptions, target.kind) && targetName(target) !== ''
  } catch {
    return false
  }
}
