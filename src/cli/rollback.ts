import { archiveName } from '../certificate/bundle.js'
import { certificateNamed } from '../config/config.js'
import { CertError } from '../errors.js'
import { planDeployment } from '../pipeline/plan.js'
import { holdOn, type Known, whatIsKnown } from '../pipeline/rollback.js'
import { CertificateStore } from '../state/certificates.js'
import type { DeploymentRecord } from '../state/deployment-record.js'
import { readDeployments } from '../state/deployments.js'
import { type Hold, lookAtHold } from '../state/hold.js'
import { StateFolder } from '../state/state-folder.js'
import { targetOptions } from '../targets/index.js'
import { isArchiveName } from '../targets/read-manifest.js'
import { archivePlaces } from './archive-places.js'
import { chooseCertificate, standby } from './chosen-archive.js'
import { defineCommand } from './command.js'
import { commonFlags, lookFlags, openState, reachFlags, stateRoot } from './common-flags.js'
import { carryOut, openReach, printable, showPlan } from './deployment.js'
import { text, toggle } from './flag.js'
import { printJson } from './json.js'
import { leftAlone, type Standing, standingTargets } from './standing-targets.js'
import { type AskedTarget, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, type Wish } from './wanted-targets.js'

const name = 'rollback'

// What a rollback decides for itself, or is no part of it.
const {
  'allow-older': _older,
  'allow-untrusted': _untrusted,
  'cas-prune': _prune,
  verify: _verify,
  ...placeFlags
} = targetFlags

export const command = defineCommand({
  name,
  summary:
    'Puts an earlier certificate of the archive back, in latest/ and on every domain together, and keeps it there until a different one comes: renew, sync and hooks do not bring back what was rolled back from.',
  flags: {
    to: text('the folder of the archive, or standby for the certificate that renew keeps ready [the one before]', {
      placeholder: 'ARCHIVE|standby',
    }),
    'no-verify': toggle('do not look whether every domain serves it'),
    ...placeFlags,
    ...reachFlags,
    ...lookFlags,
    'dry-run': toggle('say which certificate would go where, and do nothing'),
    ...commonFlags,
  },
  words: { usage: '[NAME]', most: 1 },
  examples: [
    ['acme-oss rollback example.com', 'the certificate before this one, everywhere'],
    ['acme-oss rollback example.com --to standby', 'that of the second CA, which renew keeps ready'],
  ],
  run: async (values, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const { to } = values
    if (to !== undefined && to !== standby && !isArchiveName(to)) {
      throw new CertError('USAGE', `"${printable(to)}" is not what an archive is called`, {
        hint: 'acme-oss history lists them; such as --to 2026-05-30_e5f6a7b8, or --to standby',
      })
    }
    // Only looked at, so that a refusal leaves nothing behind.
    const folder = StateFolder.at(stateRoot(values, surroundings))
    const config = await openConfig(values, surroundings, true)
    const wish = {
      values,
      targetValues: () => parsed.read(targetFlags),
      config: async () => config,
      surroundings,
      terminal,
      typed: true,
    }
    const { standing, records, known } = await lookUp(wish, folder, parsed.words[0])
    const reach = openReach(values, surroundings, terminal)
    try {
      const places = archivePlaces(standing.asked, reach.context)
      const names = config && standing.name !== undefined ? certificateNamed(config, standing.name)?.domains : undefined
      const { material, from, standingSums, said, odd } = await chooseCertificate({
        to,
        standing,
        places,
        names,
        state: records,
        surroundings,
      })
      const { bundle, warnings } = material
      const before = known ?? (await knownUnder(records, bundle.name))
      for (const line of said) terminal.progress(printable(line))
      // Flags may name a place that nothing is on record of: then it is filed as `deploy` would file it.
      const asked = standing.asked.map((one) => insisting(one, !values['no-verify']))
      const targets = reach.targets(asked)
      planDeployment(bundle, targets)
      const others = leftAlone(standing).map(
        (one) => `${one} is on record for ${bundle.name} and not among the targets: it is left as it is`,
      )
      const request = {
        command: name,
        json: values.json,
        bundle,
        targets,
        warnings: [...warnings, ...odd, ...others],
        terminal,
      }
      if (values['dry-run']) {
        const { result, status } = showPlan(request)
        if (values.json) terminal.result(printJson({ ...result, from, hold: null }))
        return status
      }
      terminal.progress(
        `${printable(bundle.name)}: back to ${archiveName(bundle)}${from === null ? '' : ` from ${from}`}`,
      )
      const state = 'root' in records ? await openState(values, surroundings) : records
      const { result, status } = await carryOut({
        ...request,
        ...('root' in state && { hold: holdOn(state, bundle, before, standingSums, surroundings.now) }),
        state,
        surroundings,
      })
      const found = 'root' in state ? holdOf(state, bundle.name) : undefined
      const hold = found?.sha256 === bundle.fingerprint.sha256 ? found : undefined
      const unheld = `${printable(bundle.name)} is not held there: what it was rolled back from is deployed again as soon as it is handed over`
      if (hold === undefined) terminal.warning(unheld)
      if (values.json) {
        const all = hold === undefined ? [...result.warnings, unheld] : result.warnings
        terminal.result(printJson({ ...result, warnings: all, from, hold: holdJson(hold) }))
      } else if (hold !== undefined && 'root' in state) {
        terminal.progress(
          `${printable(bundle.name)} is held at ${hold.archive} until a different certificate comes: once the cause is mended, ${await howToEnd(state, bundle.name)}`,
        )
      }
      return status
    } finally {
      reach.connections.close()
    }
  },
})

/** In this deployment the older one replaces the newer one, whoever issued it, and no newer one will do. */
const insisting = ({ kind, settings }: AskedTarget, isVerified: boolean): AskedTarget => {
  const { prune: _pruned, verify, ...rest } = settings
  const knows = (option: string): boolean => Object.hasOwn(targetOptions[kind] ?? {}, option)
  // Whether strangers can read the bucket is another question, asked where it was asked before.
  const isLookedAt = kind === 'oss' ? verify === true : isVerified && knows('verify')
  return {
    kind,
    settings: {
      ...rest,
      ...(knows('allow-older') && { 'allow-older': true, 'allow-untrusted': true, exactly: true }),
      ...(isLookedAt && { verify: true }),
    },
  }
}

interface LookedUp {
  readonly standing: Standing
  /** An error where they cannot be read. */
  readonly records: StateFolder | CertError
  /** As it was when nothing was chosen yet: what comes from then on is not what is gone back from. */
  readonly known: Known | undefined
}

/** What is on record matters less than that a bad certificate is replaced, where it is said where that is. */
const lookUp = async (wish: Wish, folder: StateFolder, word: string | undefined): Promise<LookedUp> => {
  try {
    const standing = await standingTargets(wish, folder, word)
    const known = standing.name === undefined ? undefined : await knownUnder(folder, standing.name, standing.records)
    return { standing, records: folder, known }
  } catch (error) {
    if (!(error instanceof CertError) || error.code !== 'STATE_UNUSABLE') throw error
    return { standing: await standingTargets(wish, error, word), records: error, known: undefined }
  }
}

const knownUnder = async (
  state: StateFolder | CertError,
  site: string,
  records?: readonly DeploymentRecord[],
): Promise<Known> => {
  if (!('root' in state)) return { recorded: [], stored: [] }
  const known = await whatIsKnown(state, site, records ?? (await readDeployments(state, site)).records)
  // Whether it can be read shows now.
  lookAtHold(state, site)
  return known
}

/** What cannot be read, the deployment has warned of. */
const holdOf = (state: StateFolder, site: string): Hold | undefined => {
  try {
    return lookAtHold(state, site).hold
  } catch {
    return undefined
  }
}

const howToEnd = async (state: StateFolder, site: string): Promise<string> => {
  const issued = await new CertificateStore(state, site).read()
  return issued !== undefined && !issued.forgotten
    ? `acme-oss renew ${printable(site)} --force-renewal`
    : 'have your client issue a new one'
}

const holdJson = (hold: Hold | undefined) =>
  hold === undefined ? null : { archive: hold.archive, sha256: hold.sha256, away: hold.away, at: hold.at }
