//! The order of a kinship matrix in which relatives stand beside each other: average linkage (UPGMA), its clusters turned so
//! that neighbours at their borders are as near as can be.

/// Two clusters become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Join {
    /// A model by its row, or the number of models plus the position of an earlier join.
    pub parts: [usize; 2],
    /// The mean distance of the members of one part to those of the other.
    pub distance: f64,
}

/// Rows in order, and how they came together: nearest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clustering {
    pub order: Vec<usize>,
    pub joins: Vec<Join>,
}

/// Clusters models by a symmetric table of distances; what is not known counts as twice the largest distance. O(n³) in time.
pub fn cluster(distances: &[Vec<Option<f64>>]) -> Clustering {
    let count = distances.len();
    let known = distances.iter().flatten().flatten().copied().filter(|distance| distance.is_finite());
    let far = 2.0 * known.fold(0.0, f64::max);
    let between = |a: usize, b: usize| {
        let known = distances.get(a).and_then(|row| row.get(b).copied().flatten());
        known.filter(|distance| distance.is_finite()).unwrap_or(far)
    };
    let mut clusters: Vec<(usize, Vec<usize>)> = (0..count).map(|row| (row, vec![row])).collect();
    let mut joins = Vec::new();
    while clusters.len() > 1 {
        let mut best = (0, 1, f64::INFINITY);
        for a in 0..clusters.len() {
            for b in a + 1..clusters.len() {
                let mean = mean(&clusters[a].1, &clusters[b].1, &between);
                if mean < best.2 {
                    best = (a, b, mean);
                }
            }
        }
        let (a, b, distance) = best;
        let (right, second) = clusters.remove(b);
        let (left, first) = &mut clusters[a];
        joins.push(Join {
            parts: [*left, right],
            distance: if distance.is_finite() { distance } else { far },
        });
        *left = count + joins.len() - 1;
        *first = turned(std::mem::take(first), second, &between);
    }
    Clustering { order: clusters.pop().map(|(_, rows)| rows).unwrap_or_default(), joins }
}

fn mean(a: &[usize], b: &[usize], between: &impl Fn(usize, usize) -> f64) -> f64 {
    let sum: f64 = a.iter().map(|a| b.iter().map(|b| between(*a, *b)).sum::<f64>()).sum();
    sum / (a.len() * b.len()) as f64
}

/// One after the other, each either way round, so that the rows that meet are the nearest.
fn turned(
    mut first: Vec<usize>,
    mut second: Vec<usize>,
    between: &impl Fn(usize, usize) -> f64,
) -> Vec<usize> {
    let ends = |rows: &[usize]| [rows.last().copied().unwrap_or(0), rows.first().copied().unwrap_or(0)];
    let (lasts, firsts) = (ends(&first), ends(&second));
    let mut best = (0, 0, f64::INFINITY);
    for (i, a) in lasts.into_iter().enumerate() {
        for (j, b) in [firsts[1], firsts[0]].into_iter().enumerate() {
            if between(a, b) < best.2 {
                best = (i, j, between(a, b));
            }
        }
    }
    if best.0 == 1 {
        first.reverse();
    }
    if best.1 == 1 {
        second.reverse();
    }
    first.append(&mut second);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_families_that_stand_mixed_come_apart() {
        let family = [0, 1, 0, 1, 1, 0];
        let distances: Vec<Vec<Option<f64>>> = (0..6)
            .map(|a| {
                (0..6)
                    .map(|b| {
                        Some(if a == b {
                            0.0
                        } else if family[a] == family[b] {
                            0.1
                        } else {
                            0.9
                        })
                    })
                    .collect()
            })
            .collect();

        let clustering = cluster(&distances);

        let families: Vec<i32> = clustering.order.iter().map(|row| family[*row]).collect();
        assert_eq!(families.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1, "{families:?}");
        let mut rows = clustering.order.clone();
        rows.sort_unstable();
        assert_eq!(rows, [0, 1, 2, 3, 4, 5]);
        assert_eq!(clustering.joins.len(), 5);
        assert!(clustering.joins.is_sorted_by(|a, b| a.distance <= b.distance + 1e-12));
    }

    #[test]
    fn along_a_line_neighbours_stay_neighbours() {
        let at = [3.0_f64, 0.0, 4.1, 1.0, 2.05];
        let distances: Vec<Vec<Option<f64>>> =
            at.iter().map(|a| at.iter().map(|b| Some((a - b).abs())).collect()).collect();

        let order = cluster(&distances).order;

        let steps: f64 = order.windows(2).map(|pair| (at[pair[0]] - at[pair[1]]).abs()).sum();
        assert!((steps - 4.1).abs() < 1e-9, "{order:?}");
    }

    #[test]
    fn what_is_not_known_is_far_and_nothing_is_no_fault() {
        let distances = vec![
            vec![Some(0.0), None, Some(0.2)],
            vec![None, Some(0.0), Some(f64::NAN)],
            vec![Some(0.2), Some(f64::NAN), Some(0.0)],
        ];

        let clustering = cluster(&distances);

        assert_eq!(clustering.joins[0], Join { parts: [0, 2], distance: 0.2 });
        assert_eq!(clustering.joins[1].parts, [3, 1]);
        assert_eq!(cluster(&[]), Clustering::default());
        assert_eq!(cluster(&[vec![None]]).order, [0]);
    }
}
