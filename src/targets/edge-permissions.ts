import { type EdgeProduct, edgeActions } from '../aliyun/edge-domains.js'
import type { Permission } from '../aliyun/ram-policy.js'
import { auto } from './auto.js'

export interface EdgeUse {
  readonly product: EdgeProduct
  /** As the product spells it, or `auto`. */
  readonly domain: string
  /** Does the same deployment write a private key into a bucket, which the domain may serve? */
  readonly isBesideLayout: boolean
}

/** The rights that the certificate of a CDN or DCDN domain uses. */
export const edgePermissions = ({ product, domain, isBesideLayout }: EdgeUse): readonly Permission[] => {
  const actions = edgeActions(product)
  const isAuto = domain === auto
  const resources = [`acs:${product}:*:*:domain/${isAuto ? '*' : domain}`]
  return [
    { actions: [actions.set], resources, needed: true, why: 'gives the domain its certificate' },
    {
      actions: [actions.look],
      resources,
      needed: false,
      why: 'sees which certificate a domain has: the same is left alone, and so is a newer one',
    },
    ...(isAuto
      ? [
          {
            actions: [actions.list],
            // The documents name both, all domains and the whole product; this is either.
            resources: [`acs:${product}:*:*:*`],
            needed: true,
            why: 'finds the domains that a certificate covers',
          },
        ]
      : isBesideLayout
        ? [
            {
              actions: [actions.origin],
              resources,
              needed: false,
              why: 'sees whether the domain serves the bucket that the private key lies in',
            },
          ]
        : []),
  ]
}
