import type { CertificateBundle } from '../certificate/bundle.js'
import { ownRenewalTime, spreadOf } from '../certificate/renewal-time.js'
import { type Config, certificateNamed } from '../config/config.js'
import { CertError } from '../errors.js'
import { type CaAccess, requireAccount } from '../issuer/ca-sessions.js'
import { orderNames } from '../issuer/order-names.js'
import type { Wanted } from '../pipeline/due.js'
import { findStored } from '../pipeline/obtain.js'
import { requireUseful } from '../pipeline/plan.js'
import { Secret } from '../secret.js'
import { accessTo } from '../sources/issue-request.js'
import { isStandby, standbyEnd } from '../standby-name.js'
import { CertificateStore } from '../state/certificates.js'
import { StateFolder } from '../state/state-folder.js'
import { alerted } from './alerted.js'
import { withChallengeBucket } from './challenge-bucket.js'
import { defineCommand } from './command.js'
import { commonFlags, deployFlags, stateRoot } from './common-flags.js'
import { carryOutAlone, openReach, showPlanAlone } from './deployment.js'
import type { Values } from './flag.js'
import { issueLayer } from './issue-layer.js'
import { dayOf, obtainShown, openIssuer, replacing, shownOrder } from './issued.js'
import { issuerFlags, issueSettings, requireSolver, solverSettings } from './issuer-flags.js'
import { targetFlags } from './target-flags.js'
import { Terminal, wantsColor } from './terminal.js'
import { openConfig, wantedTargets } from './wanted-targets.js'

const name = 'issue-and-deploy'

const flags = { ...issuerFlags, ...targetFlags, ...deployFlags, ...commonFlags }

export const command = defineCommand({
  name,
  summary:
    'Issues a certificate and deploys it; where one is stored that is not due for renewal, deploys that one. acme-oss renew, which a timer runs, renews it from then on in the same way.',
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
  run: alerted({ command: name, typed: true }, async (given, surroundings, parsed) => {
    const terminal = new Terminal(surroundings, { ...given, color: wantsColor(given['no-color'], surroundings) })
    const config = await openConfig(given, surroundings, true)
    const values = parsed.read(flags, issueLayer(config, given))
    // Only looked at, so that a refusal leaves nothing behind.
    const folder = StateFolder.at(stateRoot(values, surroundings))
    const read = await filedUnder(readOrder(values, config), values.name, folder)
    const wish = { values, targetValues: () => values, config: async () => config, surroundings, terminal, typed: true }
    const asked = await wantedTargets(wish, read)
    const solver = withChallengeBucket(solverSettings(values, read.names), asked)
    const order = { ...read, issue: { ...read.issue, solver: { ...solver } } }
    const { now } = surroundings
    const reach = openReach(values, surroundings, terminal)
    try {
      const targets = reach.targets(asked)
      requireUseful(order.names, targets)
      requireSolver(solver)
      const isConfigured = config !== undefined && certificateNamed(config, order.name)?.issue !== undefined
      const wanted = { ...order, deploy: asked, ...(isConfigured && { configured: true }) }
      const force = values['force-renewal']
      const stored = force ? undefined : await findStored(folder, wanted, now())
      const access = await accessTo(order.issue)
      if (stored === undefined) for (const one of access) await requireAccount(folder, one)
      const { standby } = order.issue
      const standbys = standby === undefined ? [] : await accessTo({ ...order.issue, ca: [standby] })
      for (const one of standbys) await requireAccount(folder, one)
      const ca = access[0]?.ca.name ?? ''
      if (values['dry-run']) {
        const { bundle, warnings } = stored ?? { bundle: imagined(order, now()), warnings: [] }
        return showPlanAlone({
          command: name,
          json: values.json,
          bundle,
          targets,
          warnings,
          order: { ca, placed: false, ms: null },
          ...(stored === undefined && { unissued: describeOrder(order, access) }),
          terminal,
        })
      }
      const state = await StateFolder.open(stateRoot(values, surroundings))
      const shown = shownOrder(terminal, order.names, undefined, () => {
        for (const target of targets) target.warmUp?.()
      })
      const issuer = openIssuer(state, reach, surroundings, terminal)
      try {
        if (stored === undefined) await issuer.warmUp(access)
        const obtained = await obtainShown({ wanted, issuer, shown, state, surroundings, terminal, force })
        if (!obtained.ordered) showNotDue(terminal, obtained.bundle)
        if (isConfigured) {
          terminal.progress(
            `from now on renew goes by what ${config.path} says of ${order.name}, until the entry is taken out`,
          )
        }
        return await carryOutAlone({
          command: name,
          json: values.json,
          bundle: obtained.bundle,
          // What was issued a moment ago is never older than what is there, whatever a wrong clock says.
          targets: obtained.ordered ? replacing(asked, targets, reach) : targets,
          warnings: obtained.warnings,
          said: shown.said,
          order: { ca: obtained.ca, placed: obtained.ordered, ms: obtained.ms },
          onRecorded: obtained.recorded,
          state,
          surroundings,
          terminal,
        })
      } finally {
        issuer.close()
      }
    } finally {
      reach.connections.close()
    }
  }),
})

type OrderValues = Values<typeof issuerFlags & typeof deployFlags>

type CertificateOrder = Omit<Wanted, 'deploy'>

/** Everything that can be refused without asking anybody. */
const readOrder = (values: OrderValues, config: Config | undefined): CertificateOrder => {
  const names = orderNames(values.domain)
  if (values.name !== undefined && isStandby(values.name)) {
    throw new CertError('USAGE', `no certificate can be called ${values.name}`, {
      hint: `choose a --name that does not end in ${standbyEnd}: what --standby keeps ready is filed under such a name`,
    })
  }
  return {
    name: values.name ?? (names[0] as string),
    names,
    issue: issueSettings(values, names, config?.account.eab),
  }
}

/** The same names in another order are the same certificate, which was called after the one that came first then. */
const filedUnder = async (
  order: CertificateOrder,
  given: string | undefined,
  state: StateFolder,
): Promise<CertificateOrder> => {
  if (given !== undefined) return order
  const wanted = [...order.names].sort().join()
  for (const one of order.names) {
    const known = await new CertificateStore(state, one).read()
    if (known !== undefined && !known.forgotten && [...known.names].sort().join() === wanted)
      return { ...order, name: one }
  }
  return order
}

const showNotDue = (terminal: Terminal, bundle: CertificateBundle): void => {
  const due = ownRenewalTime(bundle, spreadOf(bundle.fingerprint.sha256))
  terminal.progress(
    `= the stored certificate is not due before ${dayOf(due)}: nothing is ordered (--force-renewal orders all the same)`,
  )
}

const describeOrder = ({ names, issue }: CertificateOrder, access: readonly CaAccess[]): string => {
  const cas = access.map(({ ca }) => `${ca.name} (${ca.directory})`).join(', else at ')
  const { challenge, solver } = issue.solver
  return `would order at ${cas}: ${names.join(', ')}; ${issue.keyType}, proven by ${challenge} with ${solver}`
}

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
