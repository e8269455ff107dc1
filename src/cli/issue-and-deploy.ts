import { resolve } from 'node:path'
import type { CertificateBundle } from '../certificate/bundle.js'
import { renewalTime } from '../certificate/renewal-time.js'
import { orderNames } from '../issuer/order-names.js'
import { findStored, obtain, type Wanted } from '../pipeline/obtain.js'
import { requireUseful } from '../pipeline/plan.js'
import { Secret } from '../secret.js'
import { createSolver, type SolverContext } from '../solvers/index.js'
import { issuerSource, requireAccount } from '../sources/issuer.js'
import type { Source } from '../sources/source.js'
import { StateFolder } from '../state/state-folder.js'
import type { DeployTarget } from '../targets/target.js'
import { withChallengeBucket } from './challenge-bucket.js'
import { defineCommand, type Surroundings } from './command.js'
import { commonFlags, deployFlags, stateRoot } from './common-flags.js'
import { carryOutAlone, openReach, showPlanAlone } from './deployment.js'
import type { Values } from './flag.js'
import { issueLayer } from './issue-layer.js'
import {
  caBundle,
  chosenCa,
  externalAccount,
  issuerFlags,
  requireEmail,
  requireSolver,
  solverSettings,
} from './issuer-flags.js'
import { type AskedTarget, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, wantedTargets } from './wanted-targets.js'

const name = 'issue-and-deploy'

const flags = { ...issuerFlags, ...targetFlags, ...deployFlags, ...commonFlags }

export const command = defineCommand({
  name,
  summary: 'Issues a certificate and deploys it; where one is stored that is not due for renewal, deploys that one.',
  flags,
  examples: [
    [
      'acme-oss issue-and-deploy -d example.com -d www.example.com --email ops@example.com --agree-tos --bucket my-ssl-certs --region cn-hangzhou --prefix certs/example.com/',
      'port 80 of this machine answers the CA',
    ],
    [
      "acme-oss issue-and-deploy -d '*.example.com' --agree-tos --solver exec --exec-auth /root/set-txt.sh --directory /etc/ssl/example.com",
      'a wildcard, by DNS',
    ],
  ],
  run: async (given, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...given, color: wantsColor(given['no-color'], surroundings) })
    const config = await openConfig(given, surroundings, true)
    const values = parsed.read(flags, issueLayer(config, given))
    const read = await readOrder(values)
    const wish = { values, targetValues: () => values, config: async () => config, surroundings, terminal, typed: true }
    const asked = await wantedTargets(wish, read)
    const order = { ...read, solver: withChallengeBucket(read.solver, asked) }
    const reach = openReach(values, surroundings, terminal)
    try {
      const targets = reach.targets(asked)
      requireUseful(order.names, targets)
      requireSolver(order.solver)
      const wanted = wantedOf(order, asked)
      const force = values['force-renewal']
      // Only looked at, so that a refusal leaves nothing behind.
      const folder = StateFolder.at(stateRoot(values, surroundings))
      const stored = force ? undefined : await findStored(folder, wanted, surroundings.now())
      if (stored === undefined) await requireAccount({ ...order, state: folder })
      if (values['dry-run']) {
        const { bundle, warnings } = stored ?? { bundle: imagined(order, surroundings.now()), warnings: [] }
        return showPlanAlone({
          command: name,
          json: values.json,
          bundle,
          targets,
          warnings,
          order: { ca: order.ca.name, placed: false, ms: null },
          ...(stored === undefined && { unissued: describeOrder(order) }),
          terminal,
        })
      }
      const state = await StateFolder.open(stateRoot(values, surroundings))
      const said: string[] = []
      const obtained = await obtain({
        wanted,
        source: shownSource(order, {
          state,
          surroundings,
          terminal,
          context: { ...reach.context, environment: surroundings.environment },
          onWarning: (what) => {
            terminal.warning(what)
            said.push(what)
          },
          onProven: () => {
            for (const target of targets) target.warmUp?.()
          },
        }),
        state,
        now: surroundings.now,
        signal: surroundings.signal,
        force,
        onWait: (owner) => terminal.progress(`waiting for ${owner}, which is issuing ${order.name}`),
      })
      if (!obtained.ordered) showNotDue(terminal, obtained.bundle)
      // What was issued a moment ago is never older than what is there, whatever a wrong clock says.
      const chosen = obtained.ordered ? newest(targets, reach.targets(asked.map(allowingOlder))) : targets
      return await carryOutAlone({
        command: name,
        json: values.json,
        bundle: obtained.bundle,
        targets: chosen,
        warnings: obtained.warnings,
        said,
        order: { ca: order.ca.name, placed: obtained.ordered, ms: obtained.ms },
        state,
        surroundings,
        terminal,
      })
    } finally {
      reach.connections.close()
    }
  },
})

type OrderValues = Values<typeof issuerFlags & typeof deployFlags>

type CertificateOrder = Awaited<ReturnType<typeof readOrder>>

/** Everything that can be refused without asking anybody. */
const readOrder = async (values: OrderValues) => {
  const names = orderNames(values.domain)
  return {
    name: values.name ?? (names[0] as string),
    names,
    ca: chosenCa(values),
    email: requireEmail(values.email),
    solver: solverSettings(values, names),
    keyType: values['key-type'] ?? ('ec256' as const),
    agreeTos: values['agree-tos'],
    externalAccount: await externalAccount(values),
    caBundle: await caBundle(values),
    // Absolute, and kept with the certificate, so that it can be renewed from anywhere.
    paths: {
      caBundle: values['ca-bundle'] && resolve(values['ca-bundle']),
      eabKid: values['eab-kid'],
      eabHmacKeyFile: values['eab-hmac-key-file'] && resolve(values['eab-hmac-key-file']),
    },
  }
}

const wantedOf = (order: CertificateOrder, asked: readonly AskedTarget[]): Wanted => ({
  name: order.name,
  names: order.names,
  issue: {
    directory: order.ca.directory,
    ca: order.ca.name,
    email: order.email,
    keyType: order.keyType,
    solver: { ...order.solver },
    ...order.paths,
  },
  deploy: asked,
})

interface Work {
  readonly state: StateFolder
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  readonly context: SolverContext
  readonly onWarning: (what: string) => void
  /** Told when nothing but the CA's own work is left: time to get the targets ready. */
  readonly onProven: () => void
}

/** Our issuer, showing on the terminal how it gets on. */
const shownSource = (
  order: CertificateOrder,
  { state, surroundings, terminal, context, onWarning, onProven }: Work,
): Source => {
  let last = performance.now()
  const source = issuerSource({
    ...order,
    solver: createSolver(order.solver, context),
    state,
    timeout: context.timeout,
    now: surroundings.now,
    observer: {
      progress: (what) => {
        const now = performance.now()
        const time = terminal.paint('dim', `(${Math.round(now - last)} ms)`)
        terminal.progress(`${terminal.paint('green', '✓')} ${order.ca.name}: ${what} ${time}`)
        last = now
      },
      warning: onWarning,
      proven: onProven,
    },
    trace: (line) => terminal.detail(line),
  })
  return {
    collect: async (signal) => {
      last = performance.now()
      const waiting = `${order.ca.name}: issuing for ${order.names.join(', ')}`
      terminal.start(waiting)
      try {
        return await source.collect(signal)
      } finally {
        terminal.stop(waiting)
      }
    },
  }
}

const showNotDue = (terminal: Terminal, { notBefore, notAfter }: CertificateBundle): void => {
  const due = renewalTime(notBefore, notAfter).toISOString().slice(0, 10)
  terminal.progress(
    `= the stored certificate is not due before ${due}: nothing is ordered (--force-renewal orders all the same)`,
  )
}

/** The targets that replace whatever is there, in this run: what is recorded for later ones is what was asked for. */
const newest = (asked: readonly DeployTarget[], replacing: readonly DeployTarget[]): DeployTarget[] =>
  replacing.map((target, i) => ({ ...target, settings: asked[i]?.settings ?? target.settings }))

const allowingOlder = ({ kind, settings }: AskedTarget): AskedTarget => ({
  kind,
  settings: { ...settings, 'allow-older': true },
})

const describeOrder = ({ names, ca, solver, keyType }: CertificateOrder): string =>
  `would order at ${ca.name} (${ca.directory}): ${names.join(', ')}; ${keyType}, proven by ${solver.challenge} with ${solver.solver}`

/** Stands in for the certificate that an order would bring, so that a dry run can show where it would go. */
const imagined = ({ name: filedUnder, names }: CertificateOrder, now: Date): CertificateBundle => ({
  name: filedUnder,
  leaf: '',
  chain: '',
  privateKey: new Secret(''),
  names,
  issuer: '',
  keyType: '',
  notBefore: now,
  notAfter: now,
  serial: '',
  fingerprint: { sha1: '<sha1>', sha256: '' },
})
