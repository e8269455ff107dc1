import { resolve } from 'node:path'
import type { CertificateBundle } from '../certificate/bundle.js'
import { type Normalized, normalize } from '../certificate/normalize.js'
import { renewalTime } from '../certificate/renewal-time.js'
import { CertError } from '../errors.js'
import { orderNames } from '../issuer/order-names.js'
import { planDeployment, requireUseful } from '../pipeline/plan.js'
import { Secret } from '../secret.js'
import { createSolver } from '../solvers/index.js'
import { issuerSource } from '../sources/issuer.js'
import { type CertificateRecord, CertificateStore } from '../state/certificates.js'
import { withLock } from '../state/lock.js'
import { StateFolder } from '../state/state-folder.js'
import { defineCommand, type Surroundings } from './command.js'
import { commonFlags, stateRoot } from './common-flags.js'
import { carryOut, openReach, showPlan } from './deployment.js'
import type { Values } from './flag.js'
import { caBundle, chosenCa, externalAccount, issuerFlags, requireEmail, solverSettings } from './issuer-flags.js'
import { type AskedTarget, askedTargets, targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'

const name = 'issue-and-deploy'

export const command = defineCommand({
  name,
  summary: 'Issues a certificate and deploys it; where one is stored that is not due for renewal, deploys that one.',
  flags: { ...issuerFlags, ...targetFlags, ...commonFlags },
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
  run: async (values, surroundings) => {
    const terminal = new Terminal(surroundings, { ...values, color: wantsColor(values['no-color'], surroundings) })
    const order = await readOrder(values)
    const asked = askedTargets(values)
    const reach = openReach(values.timeout, surroundings, terminal)
    try {
      const targets = reach.targets(asked)
      requireUseful(order.names, targets)
      createSolver(order.solver, surroundings.environment)
      if (values['dry-run']) {
        const stored = await readStored(order, StateFolder.at(stateRoot(values, surroundings)), surroundings.now())
        const { bundle, warnings } = stored ?? { bundle: imagined(order, surroundings.now()), warnings: [] }
        if (stored === undefined && !values.json) terminal.result(describeOrder(order))
        return showPlan({ command: name, json: values.json, plan: planDeployment(bundle, targets), warnings, terminal })
      }
      const state = await StateFolder.open(stateRoot(values, surroundings))
      const obtained = await obtain(order, asked, {
        state,
        surroundings,
        terminal,
        timeout: values.timeout * 1000,
        onProven: () => {
          for (const target of targets) target.warmUp?.()
        },
      })
      // What was issued a moment ago is never older than what is there, whatever a wrong clock says.
      const chosen = obtained.ordered ? reach.targets(asked.map(allowingOlder)) : targets
      const plan = planDeployment(obtained.bundle, chosen)
      return await carryOut({
        command: name,
        json: values.json,
        plan,
        warnings: obtained.warnings,
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

type OrderValues = Values<typeof issuerFlags & typeof commonFlags>

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
    keyType: values['key-type'] ?? 'ec256',
    agreeTos: values['agree-tos'],
    externalAccount: await externalAccount(values),
    caBundle: await caBundle(values),
    forceRenewal: values['force-renewal'],
    // Kept with the certificate, so that it can be renewed from anywhere.
    paths: {
      caBundle: values['ca-bundle'] && resolve(values['ca-bundle']),
      eabKid: values['eab-kid'],
      eabHmacKeyFile: values['eab-hmac-key-file'] && resolve(values['eab-hmac-key-file']),
    },
  }
}

interface Work {
  readonly state: StateFolder
  readonly surroundings: Surroundings
  readonly terminal: Terminal
  /** In ms. */
  readonly timeout: number
  /** Told when nothing but the CA's own work is left: time to get the targets ready. */
  readonly onProven: () => void
}

interface Obtained extends Normalized {
  /** Was it ordered now, rather than found in the state folder? */
  readonly ordered: boolean
  readonly ms: number
}

const obtain = (order: CertificateOrder, asked: readonly AskedTarget[], work: Work): Promise<Obtained> => {
  const { state, surroundings, terminal } = work
  const onWait = (owner: string) => terminal.progress(`waiting for ${owner}, which is issuing ${order.name}`)
  return withLock(state, `issue ${order.name}`, { signal: surroundings.signal, onWait }, async () => {
    const store = new CertificateStore(state, order.name)
    const record = recordOf(order, asked)
    const stored = await readStored(order, state, surroundings.now())
    if (stored !== undefined) {
      await store.keepRecord({ ...record, schema: 1, current: stored.version })
      const due = renewalTime(stored.bundle.notBefore, stored.bundle.notAfter).toISOString().slice(0, 10)
      terminal.progress(
        `= the stored certificate is not due before ${due}: nothing is ordered (--force-renewal orders all the same)`,
      )
      return { ...stored, ordered: false, ms: 0 }
    }
    const start = performance.now()
    const issued = await issueNow(order, work)
    await store.keep(issued.bundle, record)
    return { ...issued, ordered: true, ms: Math.round(performance.now() - start) }
  })
}

const issueNow = async (order: CertificateOrder, work: Work): Promise<Normalized> => {
  const { state, surroundings, terminal, timeout } = work
  let last = performance.now()
  const source = issuerSource({
    ...order,
    solver: createSolver(order.solver, surroundings.environment),
    state,
    timeout,
    now: surroundings.now,
    onProven: work.onProven,
    onProgress: (what) => {
      const now = performance.now()
      terminal.progress(
        `${terminal.paint('green', '✓')} ${order.ca.name}: ${what} ${terminal.paint('dim', `(${Math.round(now - last)} ms)`)}`,
      )
      last = now
    },
    trace: (line) => terminal.detail(line),
  })
  const waiting = `${order.ca.name}: issuing for ${order.names.join(', ')}`
  terminal.start(waiting)
  try {
    const normalized = normalize(await source.collect(surroundings.signal), surroundings.now())
    const missing = order.names.find((wanted) => !normalized.bundle.names.includes(wanted))
    if (missing === undefined) return normalized
    throw new CertError('CA_REFUSED', `${order.ca.name} issued a certificate without ${missing}`, {
      hint: 'it was not deployed; use another --ca',
    })
  } finally {
    terminal.stop(waiting)
  }
}

/** The stored certificate, where it is what is asked for and still has time. */
const readStored = async (order: CertificateOrder, state: StateFolder, now: Date) => {
  if (order.forceRenewal) return undefined
  const store = new CertificateStore(state, order.name)
  const record = await store.read()
  const version = record?.current
  if (record === undefined || version === undefined || !isSameOrder(order, record)) return undefined
  if (renewalTime(new Date(version.notBefore), new Date(version.notAfter)) <= now) return undefined
  const material = await store.readMaterial(version)
  if (material === undefined) return undefined
  try {
    return { ...normalize({ ...material, name: order.name }, now), version }
  } catch {
    // Damaged on disk: a new one is the way out.
    return undefined
  }
}

/** A certificate of a test CA, or with another kind of key, is not what was asked for, whatever its names. */
const isSameOrder = (order: CertificateOrder, { names, current }: CertificateRecord): boolean =>
  [...order.names].sort().join() === [...names].sort().join() &&
  current?.directory === order.ca.directory &&
  current.keyType === order.keyType

const recordOf = (order: CertificateOrder, asked: readonly AskedTarget[]) => ({
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

const allowingOlder = ({ kind, settings }: AskedTarget): AskedTarget => ({
  kind,
  settings: { ...settings, allowOlder: true },
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
