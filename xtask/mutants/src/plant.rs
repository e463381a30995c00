//! The faults: which there are, and how each is put into the syntax tree behind its question.
//!
//! Owns the kinds: a function that returns at once with a plain value, an operator that is another,
//! a negation that is missing, a guard that always or never holds, an arm that never matches.
//! Leaves alone what the compiler evaluates (constants, patterns, `const fn`), what only shows
//! things (`Display`, `Debug`, names) and tests. Invariant: the code behind 'no' is the code as it
//! was.

use std::collections::BTreeSet;

use proc_macro2::Span;
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Arm, BinOp, Block, Expr, ExprBinary, ExprMatch, ExprUnary, GenericArgument, ImplItemFn, Item,
    ItemFn, ItemImpl, Pat, PathArguments, ReturnType, Type, UnOp, parse_quote,
};

/// One fault.
#[derive(Clone, Debug)]
pub struct Fault {
    pub id: u32,
    pub file: String,
    pub line: usize,
    function: String,
    what: String,
}

impl Fault {
    /// With its place.
    pub fn name(&self) -> String {
        format!("{}:{}: {}", self.file, self.line, self.what_and_where())
    }

    /// Without the line, which changes with every edit.
    pub fn label(&self) -> String {
        format!("{}: {}", self.file, self.what_and_where())
    }

    fn what_and_where(&self) -> String {
        if self.function.is_empty() {
            self.what.clone()
        } else {
            format!("{} in {}", self.what, self.function)
        }
    }
}

/// Plants faults into one file after the other.
pub struct Planter<'s> {
    pub faults: Vec<Fault>,
    /// These are not planted: they do not compile.
    skipped: &'s BTreeSet<u32>,
    file: String,
    of: String,
    function: String,
}

impl<'s> Planter<'s> {
    pub fn new(skipped: &'s BTreeSet<u32>) -> Self {
        Self {
            faults: Vec::new(),
            skipped,
            file: String::new(),
            of: String::new(),
            function: String::new(),
        }
    }

    pub fn plant(&mut self, file: &str, syntax: &mut syn::File) {
        file.clone_into(&mut self.file);
        self.visit_file_mut(syntax);
    }

    /// A new fault: its question, unless it is skipped.
    fn add(&mut self, span: Span, what: String) -> Option<Expr> {
        let id = self.faults.len() as u32;
        let function = if self.of.is_empty() {
            self.function.clone()
        } else {
            format!("{}::{}", self.of, self.function)
        };
        let (file, line) = (self.file.clone(), span.start().line);
        self.faults.push(Fault { id, file, line, function, what });
        (!self.skipped.contains(&id)).then(|| parse_quote!(crate::mutation::on(#id)))
    }

    fn plant_function(&mut self, name: &str, output: &ReturnType, block: &mut Block) {
        let outer = std::mem::replace(&mut self.function, name.to_owned());
        let values = if block.stmts.is_empty() { Vec::new() } else { values(output) };
        let span = block.span();
        visit_mut::visit_block_mut(self, block);
        for value in values.into_iter().rev() {
            let shown = value.to_token_stream().to_string().replace(' ', "");
            if let Some(question) = self.add(span, format!("return {shown}")) {
                let early = parse_quote!(if #question { return #value; });
                block.stmts.insert(0, early);
            }
        }
        self.function = outer;
    }
}

/// What a function may return at once.
fn values(output: &ReturnType) -> Vec<Expr> {
    let ReturnType::Type(_, kind) = output else { return vec![parse_quote!(())] };
    match &**kind {
        Type::Tuple(tuple) if tuple.elems.is_empty() => vec![parse_quote!(())],
        Type::Tuple(_) => vec![parse_quote!(Default::default())],
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Vec::new() };
            let inner = match &last.arguments {
                PathArguments::AngleBracketed(inner) => inner.args.first(),
                PathArguments::None | PathArguments::Parenthesized(_) => None,
            };
            let unit = |inner: Option<&GenericArgument>| matches!(inner, Some(GenericArgument::Type(Type::Tuple(t))) if t.elems.is_empty());
            match last.ident.to_string().as_str() {
                "bool" => vec![parse_quote!(true), parse_quote!(false)],
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i32" | "i64" => {
                    vec![parse_quote!(0), parse_quote!(1)]
                }
                "Option" => vec![parse_quote!(None)],
                "Result" if unit(inner) => vec![parse_quote!(Ok(()))],
                "Result" => vec![parse_quote!(Ok(Default::default()))],
                "Self" => Vec::new(),
                _ => vec![parse_quote!(Default::default())],
            }
        }
        _ => Vec::new(),
    }
}

/// Other operators in place of one.
fn others(op: &BinOp) -> Vec<BinOp> {
    match op {
        BinOp::Eq(_) => vec![parse_quote!(!=)],
        BinOp::Ne(_) => vec![parse_quote!(==)],
        BinOp::And(_) => vec![parse_quote!(||)],
        BinOp::Or(_) => vec![parse_quote!(&&)],
        BinOp::Lt(_) => vec![parse_quote!(<=), parse_quote!(>)],
        BinOp::Le(_) => vec![parse_quote!(<), parse_quote!(>)],
        BinOp::Gt(_) => vec![parse_quote!(>=), parse_quote!(<)],
        BinOp::Ge(_) => vec![parse_quote!(>), parse_quote!(<)],
        BinOp::Add(_) => vec![parse_quote!(-)],
        BinOp::Sub(_) => vec![parse_quote!(+)],
        BinOp::Mul(_) => vec![parse_quote!(/)],
        BinOp::Div(_) | BinOp::Rem(_) => vec![parse_quote!(*)],
        BinOp::BitAnd(_) => vec![parse_quote!(|)],
        BinOp::BitOr(_) | BinOp::BitXor(_) => vec![parse_quote!(&)],
        BinOp::Shl(_) => vec![parse_quote!(>>)],
        BinOp::Shr(_) => vec![parse_quote!(<<)],
        BinOp::AddAssign(_) => vec![parse_quote!(-=)],
        BinOp::SubAssign(_) => vec![parse_quote!(+=)],
        BinOp::BitOrAssign(_) => vec![parse_quote!(&=)],
        BinOp::BitAndAssign(_) => vec![parse_quote!(|=)],
        _ => Vec::new(),
    }
}

/// Whether a chain of `&&` binds a name, so that it may stand only where it is.
fn binds(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(ExprBinary { left, op: BinOp::And(_), right, .. }) => {
            binds(left) || binds(right)
        }
        _ => false,
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.to_token_stream().to_string().contains("test")
    })
}

const SHOWN: [&str; 6] = ["fmt", "name", "sentence", "level", "fields", "word"];

impl VisitMut for Planter<'_> {
    fn visit_item_mut(&mut self, item: &mut Item) {
        match item {
            Item::Const(_) | Item::Static(_) | Item::Macro(_) | Item::Enum(_) | Item::Struct(_) => {
            }
            Item::Mod(module) if is_test(&module.attrs) => {}
            _ => visit_mut::visit_item_mut(self, item),
        }
    }

    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        let name = item.sig.ident.to_string();
        if item.sig.constness.is_none() && !SHOWN.contains(&name.as_str()) {
            self.plant_function(&name, &item.sig.output, &mut item.block);
        }
    }

    fn visit_item_impl_mut(&mut self, item: &mut ItemImpl) {
        let shows = item.trait_.as_ref().is_some_and(|(_, path, _)| {
            path.segments
                .last()
                .is_some_and(|last| last.ident == "Display" || last.ident == "Debug")
        });
        if !shows {
            let outer = std::mem::take(&mut self.of);
            if let Type::Path(path) = &*item.self_ty
                && let Some(last) = path.path.segments.last()
            {
                self.of = last.ident.to_string();
            }
            visit_mut::visit_item_impl_mut(self, item);
            self.of = outer;
        }
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        let name = item.sig.ident.to_string();
        if item.sig.constness.is_none() && !SHOWN.contains(&name.as_str()) {
            self.plant_function(&name, &item.sig.output, &mut item.block);
        }
    }

    fn visit_impl_item_const_mut(&mut self, _: &mut syn::ImplItemConst) {}

    fn visit_expr_repeat_mut(&mut self, _: &mut syn::ExprRepeat) {}

    fn visit_type_mut(&mut self, _: &mut Type) {}

    fn visit_pat_mut(&mut self, _: &mut Pat) {}

    fn visit_attribute_mut(&mut self, _: &mut syn::Attribute) {}

    fn visit_generic_argument_mut(&mut self, _: &mut GenericArgument) {}

    fn visit_expr_match_mut(&mut self, expr: &mut ExprMatch) {
        let plain = |arm: &Arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none();
        let last = expr.arms.iter().rposition(plain);
        for (place, arm) in expr.arms.iter_mut().enumerate() {
            let before = last.is_some_and(|last| place < last);
            let pattern = arm.pat.to_token_stream().to_string();
            let span = arm.pat.span();
            match &mut arm.guard {
                Some((_, guard)) if !binds(guard) => {
                    let was = guard.clone();
                    self.visit_expr_mut(guard);
                    for value in [true, false] {
                        let what = format!("guard {} is {value}", was.to_token_stream());
                        if let Some(question) = self.add(was.span(), what) {
                            let now = guard.clone();
                            **guard = parse_quote!((if #question { #value } else { #now }));
                        }
                    }
                }
                Some(_) => {}
                None if before => {
                    let what = format!("arm {} never matches", one_line(&pattern));
                    if let Some(question) = self.add(span, what) {
                        arm.guard = Some((Default::default(), parse_quote!(!#question)));
                    }
                }
                None => {}
            }
            visit_mut::visit_expr_mut(self, &mut arm.body);
        }
        visit_mut::visit_expr_mut(self, &mut expr.expr);
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Binary(binary) if !binds(&Expr::Binary(binary.clone())) => {
                let was = binary.clone();
                visit_mut::visit_expr_binary_mut(self, binary);
                let mut now: Expr = Expr::Binary(binary.clone());
                for op in others(&was.op) {
                    let (from, to) = (was.op.to_token_stream(), op.to_token_stream());
                    if let Some(question) = self.add(was.op.span(), format!("{from} is {to}")) {
                        let (left, right) = (&was.left, &was.right);
                        now = parse_quote!((if #question { #left #op #right } else { #now }));
                    }
                }
                *expr = now;
            }
            Expr::Unary(ExprUnary {
                op: op @ (UnOp::Not(_) | UnOp::Neg(_)), expr: inner, ..
            }) => {
                let (was, op) = ((**inner).clone(), *op);
                visit_mut::visit_expr_mut(self, inner);
                let what = format!("no {}", op.to_token_stream());
                if let Some(question) = self.add(op.span(), what) {
                    let inner = &**inner;
                    *expr = parse_quote!((if #question { #was } else { #op #inner }));
                }
            }
            _ => visit_mut::visit_expr_mut(self, expr),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "or")
}

/// The question, for the copy's `lib.rs`. It also says, once for each fault, that it was asked.
pub fn question(faults: usize) -> proc_macro2::TokenStream {
    quote! {
        #[doc(hidden)]
        pub mod mutation {
            extern crate std;
            use std::io::Write;
            use std::sync::OnceLock;
            use std::sync::atomic::{AtomicBool, Ordering};
            static ON: OnceLock<Option<u32>> = OnceLock::new();
            static REACHED: OnceLock<Option<std::fs::File>> = OnceLock::new();
            static ASKED: [AtomicBool; #faults] = [const { AtomicBool::new(false) }; #faults];
            pub fn on(id: u32) -> bool {
                if !ASKED[id as usize].swap(true, Ordering::Relaxed) {
                    let reached = REACHED.get_or_init(|| {
                        let path = std::env::var_os("STANDIN_REACHED")?;
                        std::fs::OpenOptions::new().create(true).append(true).open(path).ok()
                    });
                    if let Some(mut file) = reached.as_ref() {
                        let _ = file.write_all(std::format!("{id}\n").as_bytes());
                    }
                }
                let on = ON.get_or_init(|| {
                    std::env::var("STANDIN_FAULT").ok().and_then(|id| id.parse().ok())
                });
                *on == Some(id)
            }
        }
    }
}
